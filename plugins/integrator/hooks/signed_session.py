"""A `requests.Session` that a scheme signs, kept to the credential's own origin, with the same TLS and address checks as the engine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from integrator.auth import quiet_loggers as _quiet  # noqa: F401 - imported for what it does
from integrator.auth.presenting import Ready
from integrator.errors import ConfigError
from integrator.hooks.bounded import BoundedBody, Deadline, goes_on
from integrator.hooks.handshaking import SignIns, SignsIn
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, Request
from integrator.wire.proxies import Proxies
from integrator.wire.signing import Signed

T = TypeVar("T")


def checked_connect(egress: Egress, host: str, port: int, timeout: Any) -> socket.socket:
    """Connect to the first address of a host that answers, after all of them were checked.

    Raises:
        EgressRefusedError: one of them may not be reached.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for one in found:
        egress.refuse_address(host, port, str(one[4][0]))
    last: OSError | None = None
    for family, kind, protocol, _name, address in found:
        made = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, (int, float)):
                made.settimeout(timeout)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.connect(address)
        except OSError as error:
            last = error
            made.close()
            continue
        return made
    raise last or OSError("the host has no address")


def _pools(egress: Egress, sign_ins: SignIns | None) -> dict[str, type[HTTPConnectionPool]]:
    class CheckedHttp(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return checked_connect(egress, self._dns_host, self.port or 80, self.timeout)

        def request(self, *args: Any, **kwargs: Any) -> None:
            goes_on(self)
            super().request(*args, **kwargs)

        def getresponse(self) -> Any:
            goes_on(self)
            return super().getresponse()

    class CheckedHttps(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return checked_connect(egress, self._dns_host, self.port or 443, self.timeout)

        def request(self, *args: Any, **kwargs: Any) -> None:
            goes_on(self)
            super().request(*args, **kwargs)

        def getresponse(self) -> Any:
            goes_on(self)
            return super().getresponse()

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = CheckedHttp

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = CheckedHttps

    if sign_ins is not None:
        known = sign_ins

        class SignedHttp(SignsIn, CheckedHttp):
            sign_ins = known

        class SignedHttps(SignsIn, CheckedHttps):
            sign_ins = known

        HttpPool.ConnectionCls, HttpsPool.ConnectionCls = SignedHttp, SignedHttps
    return {"http": HttpPool, "https": HttpsPool}


class _Signed(requests.PreparedRequest):
    """A request as it goes out. Whoever gets its answer, or an error, gets the one without the signature with it."""

    unsigned: requests.PreparedRequest


class _Adapter(HTTPAdapter):
    """TLS 1.2 or newer, verified, on every connection; each address is checked before it is connected to; answers are bounded."""

    def __init__(self, ready: Ready, sign_ins: SignIns | None) -> None:
        self._egress, self._trust, self._sign_ins = ready.egress, ready.trust, sign_ins
        self._most = ready.bounds.answer_bytes
        super().__init__()

    def send(self, request: requests.PreparedRequest, stream: bool = False, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send it; nothing of what signs it is in what comes back."""
        unsigned = request.unsigned if isinstance(request, _Signed) else request
        try:
            made = super().send(request, stream=stream, **kwargs)
        except requests.RequestException as error:
            error.request = unsigned
            if request.url == unsigned.url:
                raise
            # Its text holds the address, and the address holds what signs it.
            raise type(error)(f"{self._egress.conn_id}: {type(error).__name__}", request=unsigned) from None
        made.request, made.url = unsigned, unsigned.url or ""
        if not stream or made.is_redirect:
            made.raw = BoundedBody(made.raw, self._most, self._egress.conn_id)
        return made

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust.context(), **kwargs)  # type: ignore[no-untyped-call]
        self.poolmanager.pool_classes_by_scheme = _pools(self._egress, self._sign_ins)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave whom to trust to the credential's context, which requests would make trust the public authorities too."""

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        made = super().proxy_manager_for(proxy, ssl_context=self._trust.context(), **kwargs)  # type: ignore[no-untyped-call]
        if self._sign_ins is not None:  # through CONNECT, the connection is one with the system itself
            made.pool_classes_by_scheme = _pools(self._egress, self._sign_ins)
        return made


class _Loop:
    """An event loop in a thread of its own, for a signer that makes calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="integrator-sign-in", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class SignedSession(requests.Session):
    """Signs each request with the credential. A path (`/orders`) is taken below the base URL.

    Args:
        ready: the credential, made ready.
        proxies: which calls go through a proxy.
        tell: called by the thread that sends, after each sign-in of another thread: whoever masks secrets in logs may care which.
    """

    def __init__(self, ready: Ready, proxies: Proxies, tell: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.trust_env = False
        self._tell = tell
        self._ready, self._egress, self._proxies = ready, ready.egress, proxies
        self._loop = _Loop() if hasattr(ready.scheme, "earn") else None
        self._closed = False
        sign_ins = SignIns(ready.signing) if ready.signing is not None else None
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(ready, sign_ins))

    @property
    def base_url(self) -> str:
        """The credential's base URL, to be asked for itself."""
        return self._egress.base_url

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send; refuses an address outside the credential's origin, before and after redirects."""
        kwargs["timeout"] = kwargs.get("timeout") or (self._ready.bounds.connect_s, self._ready.bounds.answer_s)
        return super().request(method, self._egress.at(url) if str(url).startswith("/") else url, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Sign and send one prepared request; sign in again once where the answer says that the sign-in no longer holds.

        Raises:
            ConfigError: it asks for another trust than the credential's.
        """
        if kwargs.get("verify") not in (None, True) or kwargs.get("cert"):
            raise ConfigError(
                f"{self._egress.conn_id}: whom to trust and which certificate to show is the credential's business, so leave verify and cert out; "
                "see its fields ca_certificate and client_certificate"
            )
        signed = self._signed(request)
        answer = self._send(request, signed, **kwargs)
        # What is streamed is the caller's to read, so that only its status can tell.
        body = b"" if kwargs.get("stream", self.stream) else answer.content or b""
        heard = Answer(answer.status_code, answer.headers, body)
        again = self._asks_anew(heard) and self._run(self._ready.signer.again(signed, heard))
        if again and isinstance(request.body, (bytes, str, type(None))):  # a stream has been read, and would go out empty
            answer.close()
            answer = self._send(request, self._signed(request), **kwargs)
        return answer

    def _asks_anew(self, answer: Answer) -> bool:
        heeds = answer.status == 401 and getattr(self._ready.signer, "heeds", False)
        return heeds or self._ready.manners.says_signed_out(answer)

    def _signed(self, request: requests.PreparedRequest) -> Signed:
        self._egress.follow(self._egress.base_url, request.url or "")
        body: Any = request.body.encode() if isinstance(request.body, str) else request.body
        if not isinstance(body, bytes | None) and getattr(self._ready.scheme, "needs_body", False):
            raise ConfigError(
                f"{self._egress.conn_id}: this way of signing in signs or repeats the body, so give it whole and not as a stream"
            )
        made = Request(
            request.method or "GET", request.url or "", dict(request.headers), body if isinstance(body, bytes) else None
        )
        return self._run(self._ready.signer.sign(made))

    def _send(self, request: requests.PreparedRequest, signed: Signed, **kwargs: Any) -> requests.Response:
        self._egress.refuse_url(signed.request.url)
        made = _Signed()
        made.__dict__.update(request.copy().__dict__)
        made.unsigned = request
        for name, value in signed.request.headers.items():  # as the engine sends them: what is not ASCII goes as UTF-8
            made.headers[name] = cast("str", value if value.isascii() else value.encode())
        made.url = signed.request.url
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if signed.request.body is not None and signed.request.body != body:
            made.body = signed.request.body
            made.headers["Content-Length"] = str(len(signed.request.body))
        proxy = self._proxies.for_url(signed.request.url)
        kwargs["proxies"] = {"http": proxy, "https": proxy} if proxy else {}
        whole_s = max(self._ready.bounds.answer_s, _to_read(kwargs.get("timeout")))
        with Deadline(whole_s) as deadline:
            try:
                answer = super().send(made, **kwargs)
            except Exception:
                if not deadline.expired:
                    raise
                answer = None
        if answer is None or deadline.expired:
            raise requests.ReadTimeout(
                f"{self._egress.conn_id}: the answer was not there to its end after {whole_s:g} s; the [integrator] setting answer_timeout_s, "
                "or the call's own timeout, says how long that may be",
                request=request,
            )
        return answer

    def resolve_redirects(self, resp: requests.Response, req: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """Follow redirects with the request as it was before it was signed: each is signed by itself."""
        return super().resolve_redirects(resp, req.unsigned if isinstance(req, _Signed) else req, *args, **kwargs)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is not None:
            try:
                return self._loop.run(work)
            finally:
                self._tell()
        try:
            work.send(None)  # a signer that makes no calls never waits
        except StopIteration as done:
            result: T = done.value
            return result
        raise RuntimeError("a signer without calls of its own waits for something")

    def close(self) -> None:
        """Sign out, where the scheme does, and close the connections."""
        super().close()
        if self._loop is not None and not self._closed:
            self._closed = True
            try:
                self._run(self._ready.signer.close())
            finally:
                self._loop.stop()

    def __repr__(self) -> str:
        """Return which credential it is for, and nothing of it."""
        return f"<SignedSession {self._egress.conn_id}>"


def _to_read(timeout: Any) -> float:
    """Return the seconds to read of requests' timeout; 0 where it says none."""
    read = timeout[1] if isinstance(timeout, tuple) else timeout
    return float(read) if isinstance(read, (int, float)) else 0.0
