"""How often a credential may be used, and what is asked of and granted by whoever keeps count for all workers."""

from __future__ import annotations

from dataclasses import dataclass

PACED_UP_TO_S = 10.0
"""Rules over at most so many seconds are kept by even spacing; longer ones by counting, so that a small run need not wait."""
MARGIN_MAX_S = 0.5
COUNTED_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `calls` calls in any `per_s` seconds."""

    calls: int
    per_s: float

    @property
    def name(self) -> str:
        """What the rule is kept under."""
        return f"{self.calls}/{self.per_s:g}"

    @property
    def paced(self) -> bool:
        """Whether it is kept by even spacing."""
        return self.per_s <= PACED_UP_TO_S

    @property
    def margin_s(self) -> float:
        """Seconds by which a call may arrive earlier or later at the other system than it was meant to."""
        return min(self.per_s / 10, MARGIN_MAX_S) if self.paced else COUNTED_GRACE_S

    @property
    def spacing_s(self) -> float:
        """Seconds between two calls of a paced rule."""
        return (self.per_s + self.margin_s) / self.calls


@dataclass(frozen=True, slots=True)
class Ask:
    """What one user of a credential asks for.

    Attributes:
        credential: the credential, as a connection ID.
        holder: who asks; one end of one flow run.
        rules: the credential's calls per time.
        in_flight: most calls in flight over all holders; None when that has no bound.
        calls: calls that it wants to begin about now.
        lead_s: seconds that an answer to this takes.
        used: its calls in flight.
        wanted: calls that it would have in flight if it could.
        lease_s: seconds after which its places come back if it is not heard of.
    """

    credential: str
    holder: str
    rules: tuple[Rule, ...] = ()
    in_flight: int | None = None
    calls: int = 0
    lead_s: float = 0.0
    used: int = 0
    wanted: int = 0
    lease_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What it gets.

    Attributes:
        now: the common clock, in seconds.
        starts: instants of that clock; at each of them one call may begin.
        wait_s: seconds after which asking again makes sense, when there are no starts.
        places: calls that it may have in flight; None when that has no bound.
        contended: whether somebody else waits for a place.
    """

    now: float
    starts: tuple[float, ...] = ()
    wait_s: float = 0.0
    places: int | None = None
    contended: bool = False
