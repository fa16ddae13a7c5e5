"""A credential's limits: what its owner says of them, and who keeps count for all workers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from integrator.model.limit import Ask, Grant, Rule
from integrator.wire.message import Answer

RULES_MAX = 4
CALLS_MAX = 1_000_000
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PER_MIN_S, PER_MAX_S = 0.1, 31 * 86_400.0
_RULE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,6}(?:\.\d{1,3})?)?\s*(ms|s|m|h|d)\s*\Z", re.ASCII)


def rules_of(text: str) -> tuple[Rule, ...]:
    """Read calls per time, such as `5/1s` or `150/30s, 10000/1d`.

    Raises:
        ValueError: it is not that; the message says what to write.
    """
    rules = tuple(_rule(part) for part in text.split(",") if part.strip())
    if not 1 <= len(rules) <= RULES_MAX or len({rule.per_s for rule in rules}) < len(rules):
        raise ValueError(f"calls holds 1 to {RULES_MAX} rules with commas between, one for each span of time")
    return rules


def _rule(part: str) -> Rule:
    found = _RULE.match(part)
    if not found:
        raise ValueError(
            f"calls: {part.strip()[:40]!r} is not calls per time, such as 5/1s, 150/30s or 10000/1d (ms, s, m, h, d)"
        )
    rule = Rule(int(found[1]), float(found[2] or 1) * UNITS_S[found[3]])
    if not 1 <= rule.calls <= CALLS_MAX or not PER_MIN_S <= rule.per_s <= PER_MAX_S:
        raise ValueError(f"calls: {part.strip()[:40]!r} is out of range; 1 to {CALLS_MAX:,} calls in 100ms to 31d")
    return rule


class Limits(Protocol):
    """Keeps count for all workers. Blocking; called from a thread. Each raises TryAgainError when its database is away."""

    def take(self, ask: Ask) -> Grant:
        """Return what the asker gets, and keep it."""

    def pause(self, credential: str, seconds: float) -> None:
        """Hold all calls with a credential for so long, bounded to an hour."""

    def give_back(self, ask: Ask, unused: tuple[float, ...]) -> None:
        """Note that a holder has gone, and which of its starts it leaves."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a credential wants to be used.

    Attributes:
        rules: calls per time, over all flows and workers.
        in_flight: most calls in flight, over all flows and workers; None for no bound.
        throttled: tells whether an answer says "too many calls", beside the usual statuses; None where those are all.
        signed_out: tells whether an answer says that the sign-in no longer holds; None where the status 401 says so.
    """

    rules: tuple[Rule, ...] = ()
    in_flight: int | None = None
    throttled: Callable[[Answer], bool] | None = field(default=None, repr=False)
    signed_out: Callable[[Answer], bool] | None = field(default=None, repr=False)

    @property
    def shared(self) -> bool:
        """Whether somebody has to keep count for all workers."""
        return bool(self.rules) or self.in_flight is not None

    def says_signed_out(self, answer: Answer) -> bool:
        """Tell whether an answer says that the sign-in no longer holds."""
        return answer.status == 401 if self.signed_out is None else self.signed_out(answer)


NO_LIMITS = Manners()
