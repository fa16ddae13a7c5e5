"""A business system behind NTLM, as IIS has it: each connection is signed in, by pyspnego's acceptor. Over http or https.

It can require that a sign-in is bound to its TLS connection, and breaks connections off at moments that a test chooses.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
import spnego
from spnego._ntlm_raw.messages import Authenticate, AvId, NTClientChallengeV2
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from tests.services.authority import Certificates

DOMAIN, USER, PASSWORD = "TESTDOM", "svc-integrator", "N7lm-päss&word+42"
VARIABLE = "NTLM_USER_FILE"


class NtlmServer:
    """State that a test may look at and change while requests come in.

    Args:
        folder: where the file of accounts is put.
        tls: certificate and key; None for http.
        digest: hash of the certificate's signature, by RFC 5929; None where bindings are not required.
    """

    def __init__(self, folder: Path, tls: Certificates | None = None, digest: str | None = None) -> None:
        self.accounts = folder / "accounts"
        self.accounts.write_text(f"{DOMAIN}:{USER}:{PASSWORD}\n:{USER}@testdom.example:{PASSWORD}\n")
        self.tls, self.digest = tls, digest
        self.word = "NTLM"
        self.records: list[dict[str, Any]] = []
        self.stored: list[dict[str, Any]] = []
        self.users: set[str] = set()
        self.services: set[str] = set()  # whom the clients meant to sign in to
        self.calls: Counter[str] = Counter()  # hello, authenticate, refused, in, unsigned
        self.bodies: list[tuple[str, int]] = []  # what each request with a body was, and its size
        self.methods: list[str] = []
        self.latency_s = 0.0
        self.connections = 0
        self.breaks: Callable[[str], bool] = lambda _moment: False
        """Asked at hello, challenge (after it was sent), authenticate, accepted (after the answer), request and stored."""
        self.challenge: Callable[[bytes], list[str]] = lambda made: [f"{self.word} {b64encode(made).decode()}"]
        self.offers: Callable[[], list[str]] = lambda: [self.word]
        self.signs_out: Callable[[], bool] = lambda: False
        self.answers: Callable[[str, str], int | None] = lambda _method, _path: None
        """Status that a request is answered with before any sign-in; None for none."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def start(self) -> Self:
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self.accounts)
        self.context: ssl.SSLContext | None = None
        if self.tls is not None:
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(self.tls.certificate, self.tls.key)
        system = self

        class Handler(_Handler):
            server_system = system

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: connections are broken on purpose."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.close_connections()
        os.environ.pop(VARIABLE)
        if self._before is not None:
            os.environ[VARIABLE] = self._before

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def close_connections(self) -> None:
        """Close every connection, as an idle limit does."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def binding(self) -> GssChannelBindings | None:
        if self.digest is None or self.tls is None:
            return None
        der = ssl.PEM_cert_to_DER_cert(self.tls.certificate.read_text())
        return GssChannelBindings(application_data=b"tls-server-end-point:" + hashlib.new(self.digest, der).digest())

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def count(self, what: str) -> None:
        with self._lock:
            self.calls[what] += 1

    def act(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Answer a request that is signed in."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if method in ("GET", "HEAD") and parts.path == "/items":
            size = int(query.get("per_page", "1000"))
            start = (int(query.get("page", "1")) - 1) * size
            return 200, {"items": self.records[start : start + size]}
        if method == "POST" and parts.path == "/orders":
            with self._lock:
                self.stored.append(json.loads(body))
            return 201, {"number": len(self.stored), "ok": True}
        return (405, None) if method == "HEAD" else (404, {"path": parts.path})


class _Handler(BaseHTTPRequestHandler):
    """One connection; it lives as long as the connection does."""

    protocol_version = "HTTP/1.1"
    server_system: NtlmServer
    timeout = 60

    def setup(self) -> None:
        self.system = self.server_system
        if self.system.context is not None:
            self.request = self.system.context.wrap_socket(self.request, server_side=True)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.system.opened(self.request)
        self.acceptor: Any = None
        self.signed_in = False
        super().setup()

    def finish(self) -> None:
        self.system.closed(self.request)
        with suppress(OSError):
            super().finish()

    def log_message(self, *arguments: Any) -> None:  # type: ignore[override]
        """Write nothing."""

    def _handle(self) -> None:
        system = self.system
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if system.latency_s:
            time.sleep(system.latency_s)
        system.methods.append(self.command)
        said = self.headers.get("Authorization") or ""
        message = b64decode(said.partition(" ")[2]) if said.startswith(f"{system.word} ") else b""
        leg = "request" if not message else "hello" if self._kind(message) == 1 else "authenticate"
        if body:
            system.bodies.append((leg if self.signed_in or message else "unsigned", len(body)))
        status = system.answers(self.command, self.path)
        if status is not None:
            self._answer(status, None)
        elif self.signed_in and not message:
            self._act(body)
        elif leg == "hello":
            self._challenge(message)
        elif leg == "authenticate" and self.acceptor is not None:
            self._accept(message, body)
        else:
            system.count("unsigned")
            self._answer(401, None, system.offers())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - names that http.server asks for

    @staticmethod
    def _kind(message: bytes) -> int:
        return int.from_bytes(message[8:12], "little")

    def _broken(self, moment: str) -> bool:
        if not self.system.breaks(moment):
            return False
        self.close_connection = True
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)
        return True

    def _challenge(self, hello: bytes) -> None:
        self.system.count("hello")
        self.signed_in = False
        if self._broken("hello"):
            return
        self.acceptor = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
        self._answer(401, None, self.system.challenge(self.acceptor.step(hello)))
        self._broken("challenge")

    def _accept(self, message: bytes, body: bytes) -> None:
        self.system.count("authenticate")
        if self._broken("authenticate"):
            return
        try:
            self.acceptor.step(message, channel_bindings=self.system.binding())
        except SpnegoError:
            self.system.count("refused")
            self.acceptor = None
            self._answer(401, None, self.system.offers())
            return
        self.signed_in = True
        self.system.count("in")
        self.system.users.add(self.acceptor.client_principal)
        meant = NTClientChallengeV2.unpack((Authenticate.unpack(message).nt_challenge_response or b"")[16:]).av_pairs
        self.system.services.add(str(meant[AvId.target_name]))
        self._act(body)
        self._broken("accepted")

    def _act(self, body: bytes) -> None:
        if self.command != "HEAD" and self._broken("request"):
            return
        if self.command != "HEAD" and self.system.signs_out():
            self.signed_in = False
            self._answer(401, None, self.system.offers())
            return
        status, answer = self.system.act(self.command, self.path, body)
        if self.command == "POST" and self._broken("stored"):
            return
        self._answer(status, answer)

    def _answer(self, status: int, answer: Any, offers: list[str] | None = None) -> None:
        made = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        for offer in offers or []:
            self.send_header("WWW-Authenticate", offer)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(made)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(made)


@pytest.fixture
def ntlm_server(tmp_path: Path) -> Iterator[NtlmServer]:
    """A system behind NTLM of this test's own, over http."""
    made = NtlmServer(tmp_path).start()
    try:
        yield made
    finally:
        made.stop()
