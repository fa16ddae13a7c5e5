"""Sign-ins of a person's session: each connection signs itself in before its first request, by legs that carry no body."""

from __future__ import annotations

import threading
from http.client import HTTPException
from ssl import SSLEOFError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ProtocolError

from integrator.errors import SignInAgainError, SourceBrokenError, UnavailableError
from integrator.wire.handshakes import (
    NOT_UNDERSTOOD,
    SHAKES,
    UNANSWERED_MAX,
    WHY_AWAY,
    WHY_BUSY,
    WHY_CLOSED,
    Heard,
    NotSignedInError,
    SignIn,
    Signing,
)

ANSWER_BYTES_MAX = 32 << 20
"""Bytes of a leg's answer that are read and thrown away."""


class SignIns:
    """What a session knows of its sign-ins: one at a time, and none after a refusal, so that no account is locked by repeating it."""

    def __init__(self, signing: Signing) -> None:
        self.signing, self.name = signing, signing.name
        self.turn = threading.Lock()
        self.refusal: SignInAgainError | None = None
        self.proven = False
        self.unanswered = 0

    def begin(self, host: str) -> SignIn:
        """Begin one.

        Raises:
            SignInAgainError: it was refused before, or broke off too often.
        """
        if not self.proven and self.refusal is None and (words := self.signing.waits.told()) is not None:
            self.refusal = SignInAgainError(words, lasting=True)
        if self.refusal is not None:
            raise self.refusal
        if self.unanswered >= UNANSWERED_MAX:
            raise SignInAgainError(f"{self.name} closes the connection when it is to accept the sign-in; it is not tried again")
        return self.signing.begin(host)

    def end(self, heard: Heard) -> None:
        """Take what became of one.

        Raises:
            SignInAgainError: it was refused.
            UnavailableError: it was not come to.
        """
        if heard is Heard.REFUSED:
            self.refusal = self.signing.refused()
            self.signing.waits.mark(str(self.refusal))
            raise self.refusal
        if heard in (Heard.BUSY, Heard.AWAY):
            raise UnavailableError(f"{self.name} cannot be reached: {WHY_BUSY if heard is Heard.BUSY else WHY_AWAY}")
        if heard is Heard.SIGNED_IN and not self.proven:
            self.proven = True
            self.signing.waits.clear()


class SignsIn(HTTPConnection if TYPE_CHECKING else object):  # type: ignore[misc]
    """A connection that signs itself in. Stands before a connection class of urllib3."""

    sign_ins: SignIns
    auto_open = 0  # a request never opens a connection by itself: nothing of a body goes out on one that is not signed in
    _signed: Any = None  # the socket that is signed in
    # What to send again, should the sign-in have ended; None where it cannot be.
    _asked: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:  # type: ignore[override]
        """Send a request, on a connection that is signed in."""
        if self.sock is None:
            self.connect()
        kept = self._signed is not None and self._signed is self.sock
        if not kept:
            self._sign_in(url)
        replayable = kept and (body is None or isinstance(body, (bytes, str)))
        self._asked = ((method, url, body, headers), options) if replayable else None
        super().request(method, url, body, headers, **options)

    def getresponse(self) -> Any:
        """Return the answer; a connection that was kept and is signed out by now is signed in anew, once."""
        answer, asked = super().getresponse(), self._asked
        self._asked = None
        if answer.status != 401:
            return answer
        self._signed = None
        if asked is None:
            return answer
        self._drain(answer)
        self._reopen()
        self._sign_in(asked[0][1])
        super().request(*asked[0], **asked[1])
        return super().getresponse()

    def _sign_in(self, url: str) -> None:
        with self.sign_ins.turn:
            for _ in range(SHAKES):
                try:
                    heard = self._legs(url)
                except (HTTPException, ConnectionError, SSLEOFError, ProtocolError, NotSignedInError):
                    self.close()
                    self._reopen()
                    continue
                self.sign_ins.end(heard)
                self._signed = self.sock
                return
        raise UnavailableError(f"{self.sign_ins.name} cannot be reached: {WHY_CLOSED}")

    def _legs(self, url: str) -> Heard:
        for method, path in self._ways(url):
            sign_in, heard, socket = self.sign_ins.begin(self._tunnel_host or self.host), Heard.GO_ON, self.sock
            while heard is Heard.GO_ON and self.sock is socket:
                certificate = socket.getpeercert(True) if hasattr(socket, "getpeercert") else None
                self.sign_ins.unanswered += sign_in.complete
                super().request(method, path, None, {**self.sign_ins.signing.headers, **sign_in.headers()}, preload_content=False)
                answer = super().getresponse()
                if sign_in.complete:
                    self.sign_ins.unanswered = 0
                heard = sign_in.hear(answer.status, answer.headers.getlist("WWW-Authenticate"), certificate)
                self._drain(answer)
            if heard in (Heard.REFUSED, Heard.BUSY, Heard.AWAY):
                break
            if self.sock is not socket:
                self.sign_ins.signing.ways.ends(method)
                self._reopen()
            elif heard is Heard.SIGNED_IN or answer.status not in NOT_UNDERSTOOD:
                break
        return heard

    def _ways(self, path: str) -> list[tuple[str, str]]:
        parts = [(method, urlsplit(url)) for method, url in self.sign_ins.signing.ways.of(path)]
        return [(method, f"{one.path or '/'}?{one.query}" if one.query else one.path or "/") for method, one in parts]

    def _drain(self, answer: Any) -> None:
        size = 0
        for part in answer.stream(1 << 16, decode_content=False):
            size += len(part)
            if size > ANSWER_BYTES_MAX:
                self.close()
                raise SourceBrokenError(
                    f"{self.sign_ins.name}: the answer to a sign-in is larger than {ANSWER_BYTES_MAX >> 20} MiB"
                )

    def _reopen(self) -> None:
        """Open the connection where it is closed.

        Raises:
            UnavailableError: it leads through a proxy, and only its pool knows the way.
        """
        if self.sock is not None:
            return
        if self.proxy is not None:
            raise UnavailableError(f"{self.sign_ins.name} cannot be reached: {WHY_CLOSED}")
        self.connect()
