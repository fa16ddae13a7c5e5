"""What every answer of the API server carries, and whose pages may change something with a signed-in browser's cookies.

Airflow's cookies go along with requests of every page of the same site (`SameSite=Lax` keeps those of other sites out), so a page
beside ours could post with them. Browsers say which page a request comes from; a request that says nothing comes from no browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

from integrator.sign_in.parts import one_request

SAFE = ("GET", "HEAD", "OPTIONS")
COOKIES = (b"_token=", b"session=")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'; object-src 'none'; base-uri 'self'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
"""Added where an answer does not say otherwise. Scripts are Airflow's business: its pages have some within."""
KEPT_NOWHERE = ("/api/", "/ui/", "/auth/", "/execution/", "/integrator/")
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class OwnOrigin:
    """Hands requests on, but for changes that another page asks for with our cookies.

    Args:
        base_url: where people find the platform, as `[api] base_url` has it; where they ask is right too.
    """

    def __init__(self, app: App, base_url: str = "") -> None:
        self._app, self._base = app, urlsplit(base_url)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand a request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {
            name: value
            for name, value in scope["headers"]
            if name in (b"cookie", b"origin", b"host", b"authorization", b"sec-fetch-site")
        }
        if scope["method"] not in SAFE and self._crosses(scope, headers):
            return await JSONResponse({"detail": "this request comes from another page, and changes nothing"}, 403)(
                scope, receive, send
            )
        tls = self._base.scheme == "https" or scope.get("scheme") == "https"
        kept_nowhere = any(one in scope["path"] for one in KEPT_NOWHERE) and "/static/" not in scope["path"]

        async def dressed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _dressed(message["headers"], tls=tls, kept_nowhere=kept_nowhere)
            await send(message)

        with one_request(scope):
            return await self._app(scope, receive, dressed)

    def _crosses(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        cookie = b"; " + headers.get(b"cookie", b"")
        if headers.get(b"authorization", b"").lower().startswith(b"bearer ") or not any(b"; " + one in cookie for one in COOKIES):
            return False
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if not origin:
            return headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        ours = {f"https://{host}", f"{self._base.scheme}://{self._base.netloc}".lower()}
        return origin not in (ours if self._base.scheme == "https" else {*ours, f"http://{host}"})


def _dressed(headers: Any, *, tls: bool, kept_nowhere: bool) -> list[tuple[bytes, bytes]]:
    made = [(name, _secure(value) if tls and name.lower() == b"set-cookie" else value) for name, value in headers]
    there = {name.lower() for name, _ in made}
    more = [*HEADERS, *((STRICT_TRANSPORT,) if tls else ()), *(((b"cache-control", b"no-store"),) if kept_nowhere else ())]
    return made + [one for one in more if one[0] not in there]


def _secure(cookie: bytes) -> bytes:
    """Keep a cookie from going over a line without TLS, also where the proxy that speaks TLS says nothing of it."""
    parts = [part.strip().lower() for part in cookie.split(b";")]
    return cookie if b"secure" in parts[1:] else cookie + b"; Secure"
