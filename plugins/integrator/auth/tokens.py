"""What earning a token asks of whoever keeps tokens. `store.tokens` and its twin in memory fit it."""

from __future__ import annotations

from typing import Protocol

from integrator.model.tokens import Token, TokenKey, Turn


class Tokens(Protocol):
    """Keeps tokens for all workers. Blocking; called from a thread. Each raises TryAgainError when its database is away."""

    lasting: bool
    """Whether a token outlives this process."""

    def take(self, key: TokenKey, owner: str, stale: Token | None, *, force: bool = False) -> Turn:
        """Return a token, or the turn to earn one.

        Args:
            stale: a token that the system refused, so that the same one is not handed out again.
            force: whether to try although the credential waits for a person.

        Raises:
            ConfigError: what is kept was encrypted with another key.
        """

    def renew(self, key: TokenKey, owner: str) -> None:
        """Make this owner's turn last anew, where it has not ended."""

    def keep(self, key: TokenKey, owner: str, token: Token) -> None:
        """Keep a token, and end the turn, whoever has it. Kept even where one's own has run out: nobody else has what was given."""

    def give_up(self, key: TokenKey, owner: str, refused: str | None = None) -> None:
        """End the turn without a token; with `refused`, the credential waits for a person from now on.

        Not so where the turn is another's by now and a token of the same settings is kept: it is newer than what was refused.
        """

    def refused(self, key: TokenKey) -> str | None:
        """Return what to tell of a credential that waits for a person, or None."""

    def opened(self, key: TokenKey, owner: str, token: Token) -> str:
        """Note a session that was signed in to, so that somebody can sign it out should this process die; returns its name.

        The credential waits for nobody any more.
        """

    def closed(self, name: str) -> None:
        """Forget a session that was signed out."""

    def orphans(self, key: TokenKey, owner: str) -> list[tuple[str, Token]]:
        """Return the sessions of this credential whose process has died without signing out, by name; they are this owner's now."""

    def forget(self, conn_id: str) -> None:
        """Forget all that is kept of a credential."""
