"""A `requests.Session` that a scheme signs, kept to the credential's own origin."""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from integrator.auth.scheme import Scheme
from integrator.errors import EgressRefusedError
from integrator.wire.egress import Egress, origin
from integrator.wire.message import Request
from integrator.wire.session import tls

TIMEOUT_S = (15.0, 120.0)
"""Seconds to connect, and to wait for an answer's next bytes, unless a call says otherwise."""


class _Adapter(HTTPAdapter):
    """TLS 1.2 or newer, verified, on every connection."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        context: ssl.SSLContext = tls()
        super().init_poolmanager(*args, ssl_context=context, **kwargs)  # type: ignore[no-untyped-call]


class SignedSession(requests.Session):
    """Signs each request with the credential. A path (`/orders`) is taken below the base URL."""

    def __init__(self, egress: Egress, scheme: Scheme) -> None:
        super().__init__()
        self.trust_env = False
        self._egress, self._scheme = egress, scheme
        self.mount("https://", _Adapter())

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send; refuses an address outside the credential's origin, before and after redirects."""
        kwargs.setdefault("timeout", TIMEOUT_S)
        return super().request(method, self._egress.at(url) if str(url).startswith("/") else url, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Sign and send one prepared request."""
        url = request.url or ""
        if origin(url) != origin(self._egress.base_url):
            raise EgressRefusedError(
                f"credential {self._egress.conn_id} is not sent to another scheme, host or port than its base URL's"
            )
        body = request.body.encode() if isinstance(request.body, str) else request.body
        signed = self._scheme.sign(
            Request(request.method or "GET", url, dict(request.headers), body if isinstance(body, bytes) else None)
        )
        request.headers.update(signed.headers)
        request.url = signed.url
        return super().send(request, **kwargs)

    def __repr__(self) -> str:
        """Return which credential it is for, and nothing of it."""
        return f"<SignedSession {self._egress.conn_id}>"
