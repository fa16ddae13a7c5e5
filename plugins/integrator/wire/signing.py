"""What sending asks of whoever signs: a request with the credential on it, and what to do when the sign-in no longer holds."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from integrator.wire.message import Answer, Request


class Signed(NamedTuple):
    """A request with the credential on it, and the token that it carries, if there is one."""

    request: Request
    token: object = None


class Signer(Protocol):
    """Signs the requests of one credential.

    One that learns from a 401 how to sign says so by `heeds`: it is then asked after each 401, whatever else means signed out.
    """

    async def sign(self, request: Request) -> Signed:
        """Return the request with the credential on it, signed in first where that is due.

        Raises:
            SignInAgainError: the sign-in is refused.
            TryAgainError: whoever gives tokens is busy or away.
        """

    async def again(self, signed: Signed, answer: Answer) -> bool:
        """Tell whether signing and sending once more is worth it, after an answer that says the sign-in does not hold."""

    async def close(self) -> None:
        """Sign out, where that is asked for."""
