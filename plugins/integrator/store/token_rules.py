"""Whose turn it is to earn a token: the same rules for the table and its twin in memory."""

from __future__ import annotations

from collections.abc import Callable

from integrator.model.record import Quiet
from integrator.model.tokens import LEASE_S, Token, TokenKey, Turn, is_due

POLL_S = 0.25
SESSION_MAX_S = 12 * 3600.0
"""Age above which a session is taken for one that nobody signed out, wherever its process was."""


class Kept(Quiet):
    """What is kept of a credential's sign-in. All of it is encrypted where it lies in a database."""

    whole: str
    bound: str
    token: Token | None = None
    refused: str | None = None


def decide(kept: Kept | None, key: TokenKey, stale: Token | None, now: float, *, force: bool, leased: Callable[[], bool]) -> Turn:
    """Return what somebody who needs a token gets; the turn is theirs when it says `mine`.

    Args:
        now: seconds since 1970.
        leased: tells whether another living worker is at it.
    """
    same = kept is not None and kept.whole == key.whole
    if kept is not None and same and kept.refused is not None and not force:
        return Turn(refused=kept.refused)
    token = kept.token if kept is not None and same else None
    if token is not None and (stale is None or token.value != stale.value) and not is_due(token, now):
        return Turn(token=token)
    if leased():
        return Turn(wait_s=POLL_S)
    return Turn(mine=True, before=kept.token if kept is not None and kept.bound == key.bound else None)


def outdated(kept: Kept | None, key: TokenKey) -> bool:
    """Tell whether the refusal of a sign-in that is no longer one's turn says nothing: a token of the same settings has been kept."""
    return kept is not None and kept.whole == key.whole and kept.token is not None


def holds(lease_until: float, now: float) -> bool:
    """Tell whether a lease holds, in seconds since 1970; one from far ahead was taken by a clock that was wrong, and holds nobody up."""
    return now <= lease_until <= now + 2 * LEASE_S
