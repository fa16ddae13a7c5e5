"""Signers: a scheme that signs each request by itself, and one that signs with a token it earns. Both fit `wire.signing.Signer`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from integrator.auth.earning import Earner
from integrator.auth.scheme import Earns, Scheme
from integrator.model.tokens import Token
from integrator.wire.egress import Egress
from integrator.wire.headers import replaced
from integrator.wire.message import Answer, Request
from integrator.wire.signing import Signed


def with_headers(request: Request, headers: Mapping[str, str]) -> Request:
    """Return the request with a credential's fixed headers beneath its own."""
    if not headers:
        return request
    return msgspec.structs.replace(request, headers=replaced(headers, request.headers))


class PlainSigner:
    """Signs each request by the scheme alone."""

    def __init__(self, scheme: Scheme, headers: Mapping[str, str]) -> None:
        self._scheme, self._headers = scheme, headers
        self._heed: Callable[[Request, Answer], bool] | None = getattr(scheme, "heed", None)
        self.heeds = self._heed is not None

    async def sign(self, request: Request) -> Signed:
        """Return the request with the credential on it."""
        return Signed(self._scheme.sign(with_headers(request, self._headers)))

    async def again(self, signed: Signed, answer: Answer) -> bool:
        """Tell whether the scheme has learnt from the answer how to sign."""
        return self._heed is not None and self._heed(signed.request, answer)

    async def close(self) -> None:
        """Do nothing: nobody was signed in."""


class EarningSigner:
    """Signs with a token that the scheme earns.

    Args:
        earner: gets the token.
        scheme: puts it on a request.
        egress: learns of a base URL that the sign-in names.
        headers: the credential's fixed ones.
        on_close: gives back what the sign-in's own calls were sent with.
    """

    def __init__(
        self, earner: Earner, scheme: Earns, egress: Egress, headers: Mapping[str, str], on_close: Callable[[], Awaitable[None]]
    ) -> None:
        self._earner, self._scheme, self._egress, self._headers, self._on_close = earner, scheme, egress, headers, on_close
        self._refused: Token | None = None
        self._taken: Token | None = None

    async def sign(self, request: Request) -> Signed:
        """Return the request with the token on it; signs in first where that is due."""
        token = await self._earner.token(self._refused)
        if token is not self._taken:
            if token.base_url is not None:
                self._egress.capture(token.base_url)
            self._taken = token
        url = self._egress.moved(request.url)
        moved = request if url is request.url else msgspec.structs.replace(request, url=url)
        return Signed(self._scheme.present(with_headers(moved, self._headers), token), token)

    async def again(self, signed: Signed, answer: Answer) -> bool:
        """Tell whether a new token may help: yes, once for a token, since nobody else knew that it is no longer good."""
        if isinstance(signed.token, Token):
            self._refused = signed.token
        return True

    async def close(self) -> None:
        """Sign out, and give connections back."""
        try:
            await self._earner.close()
        finally:
            await self._on_close()
