"""Remembers, for all workers and runs, that a sign-in was refused, so that repeating it does not lock the account."""

from __future__ import annotations

from contextlib import suppress

from integrator.auth.tokens import Tokens
from integrator.errors import IntegratorError
from integrator.model.tokens import TokenKey


class Waiting:
    """Whether a credential waits for a person. Fits `wire.handshakes.Waits`.

    Args:
        key: whose sign-in it is, with which settings: other ones wait for nobody.
        tokens: keeps it for all workers.
        owner: this process.
        force: whether to sign in all the same.
    """

    def __init__(self, key: TokenKey, tokens: Tokens, owner: str, *, force: bool) -> None:
        self._key, self._tokens, self._owner, self._force = key, tokens, owner, force
        self._marked = False

    def told(self) -> str | None:
        """Return what to tell instead of signing in, or None."""
        words = self._tokens.refused(self._key)
        self._marked = words is not None
        return None if self._force else words

    def mark(self, words: str) -> None:
        """Let the credential wait for a person."""
        with suppress(IntegratorError):  # whoever asked is told of the refusal, not of a database that is away
            self._tokens.give_up(self._key, self._owner, words)

    def clear(self) -> None:
        """Let it wait no more: it was signed in."""
        if self._marked:
            self._marked = False
            self._tokens.forget(self._key.conn_id)
