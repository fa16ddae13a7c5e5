"""What a sign-in earns, and whose turn it is to earn it."""

from __future__ import annotations

from dataclasses import dataclass, field

from integrator.model.record import Quiet

LEASE_S = 90.0
"""Seconds for which one worker alone may earn a credential's token; above what a sign-in's calls may take."""

SKEW_S = 60.0
"""Seconds before its end from which a token is renewed; less for one that lives shorter than ten times that."""


class Token(Quiet):
    """What a sign-in earned. Kept encrypted or in memory only, and never printed.

    Attributes:
        value: what is presented; an access token, or the Cookie header of a session, empty for one without cookies.
        earned_at: seconds since 1970.
        expires_at: seconds since 1970; None when nobody said.
        refresh: what a new one is earned with, where there is such a thing.
        base_url: where the system lies, if the sign-in named it.
        scope: what it may be used for, if the sign-in said so.
        more: other values that the sign-in gave and the scheme goes on to use.
        cookies: Cookie headers for other origins than the base URL's, by origin.
    """

    value: str
    earned_at: float
    expires_at: float | None = None
    refresh: str | None = None
    base_url: str | None = None
    scope: str | None = None
    more: dict[str, str] = {}
    cookies: dict[str, str] = {}

    def secrets(self) -> list[str]:
        """Return every value of it that must not be shown; of a Cookie header each cookie's too."""
        headers = [self.value, *self.cookies.values()]
        cookies = [pair.partition("=")[2] for header in headers for pair in header.split("; ")]
        return [one for one in (*headers, *cookies, self.refresh, *self.more.values()) if one]


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Whose token it is.

    Attributes:
        conn_id: the credential.
        whole: keyed hash of all that the sign-in depends on: another one means that the token is of other settings.
        bound: keyed hash of who the client is and where its secrets go: another one means that nothing of it may be used.
    """

    conn_id: str
    whole: str = field(repr=False)
    bound: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a worker that needs a token gets: one of the four.

    Attributes:
        token: a token that another worker earned meanwhile, or that still holds.
        mine: it is this worker's turn to earn one, within `LEASE_S`.
        before: with `mine`, the token to be renewed, if there is one.
        wait_s: another worker is at it; ask again after so long.
        refused: the credential waits for a person; what to tell.
    """

    token: Token | None = field(default=None, repr=False)
    mine: bool = False
    before: Token | None = field(default=None, repr=False)
    wait_s: float = 0.0
    refused: str | None = None


def is_due(token: Token, now: float) -> bool:
    """Tell whether a token is about to end."""
    if token.expires_at is None:
        return False
    return now >= token.expires_at - min(SKEW_S, max(0.0, token.expires_at - token.earned_at) / 10)
