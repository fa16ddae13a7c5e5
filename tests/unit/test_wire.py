"""The wire: how calls in flight grow and shrink, and TLS that holds."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from integrator.errors import EgressRefusedError, SourceBrokenError, StopRunError, UnavailableError
from integrator.model.credential import Credential
from integrator.wire.egress import Egress
from integrator.wire.throttle import Throttle
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record


async def test_calls_in_flight_double_until_throttled_then_halve() -> None:
    throttle = Throttle(8, 64)

    async def round_of_calls() -> None:
        places = throttle.limit
        for _ in range(places):
            await throttle.enter()
        for _ in range(places):
            throttle.leave(well=True)

    await round_of_calls()
    assert throttle.limit > 8
    for _ in range(200):
        await round_of_calls()
    assert throttle.limit == 64
    throttle.back_off(0.05)
    throttle.back_off(0.05)  # many refusals of one moment count once
    assert throttle.limit == 32
    began = time.monotonic()
    await throttle.enter()
    assert time.monotonic() - began >= 0.04
    throttle.leave(well=True)
    assert throttle.throttled_s >= 0.05


async def test_a_waiter_that_is_cancelled_leaves_its_place_to_another() -> None:
    throttle = Throttle(1, 1)
    await throttle.enter()
    first, second = asyncio.create_task(throttle.enter()), asyncio.create_task(throttle.enter())
    await asyncio.sleep(0)
    first.cancel()
    throttle.leave(well=True)
    await asyncio.wait_for(second, 1)


async def test_a_bomb_that_unpacks_is_stopped(system: System) -> None:
    import gzip

    bomb = gzip.compress(b'{"items": "' + b" " * (200 << 20) + b'"}')
    system.on_read = lambda _request: web.Response(
        body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )
    with pytest.raises((SourceBrokenError, UnavailableError)):
        await move(parts(system.credential(), attempts=1), plan(flow()))


async def test_a_name_that_resolves_elsewhere_is_refused_for_plain_http(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checked address is the one connected to; a resolver that changes its answer is caught."""
    system.records = [record(1)]
    made = Credential("acme", "there", "none", f"http://erp.internal:{system.port}", {"plain_http": True})
    other = replace(made, name="other")  # connects anew, and so resolves again
    answers = iter(["127.0.0.1", "10.9.9.9"])

    def resolve(host: str, port: int, *_args: object, **_more: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers, "10.9.9.9") if host == "erp.internal" else host, port))
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", lambda host, port, **_more: asyncio.sleep(0, resolve(host, port)))
    with pytest.raises(EgressRefusedError, match="outside loopback"):
        await move(parts(made, other), plan(flow(destination={"credential": "other"})))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


class TlsServer:
    """Answers one empty list over TLS, by a version that the test chooses."""

    def __init__(self, certificate: tuple[Path, Path], newest: ssl.TLSVersion) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate[1], certificate[0])
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
                with self.context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(
                        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{"items": []}'
                    )
            except ssl.SSLError:
                continue
            except OSError:
                return


@pytest.mark.parametrize(
    ("host", "newest", "trusted", "said"),
    [
        ("localhost", ssl.TLSVersion.TLSv1_3, True, None), ("localhost", ssl.TLSVersion.TLSv1_2, True, None), ("localhost", ssl.TLSVersion.TLSv1_1, True, "TLS 1.2"),
        ("localhost", ssl.TLSVersion.TLSv1_3, False, "certificate"), ("127.0.0.1", ssl.TLSVersion.TLSv1_3, True, "certificate"),
    ],
    ids=["1.3", "1.2", "1.1", "unknown issuer", "another host"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_is_1_2_or_newer_and_verified(
    certificate: tuple[Path, Path],
    host: str,
    newest: ssl.TLSVersion,
    trusted: bool,
    said: str | None,
) -> None:
    server = TlsServer(certificate, newest)
    extra = {"ca_certificate": certificate[1].read_text()} if trusted else {}
    made = parts(Credential("acme", "there", "none", f"https://{host}:{server.port}", extra), attempts=1)
    try:
        if said is None:
            assert (await move(made, plan(flow(source={"pages": {"by": "single"}})))).counts.read == 0
        else:
            with pytest.raises(StopRunError, match=said):
                await move(made, plan(flow()))
    finally:
        server.socket.close()


def test_a_link_is_followed_on_its_own_origin_only() -> None:
    egress = Egress.of(Credential("a", "b", "none", "https://h.example/api", {}), ())
    assert egress.follow("https://h.example/api/items?page=1", "?page=2") == "https://h.example/api/items?page=2"
    assert egress.follow("https://h.example/api/items", "/other#x") == "https://h.example/other"
    for link in (
        "http://h.example/api",
        "https://h.example:444/",
        "https://h.example.evil/",
        "https://good@h.example/",
        "javascript:1",
        "https://h.example/\n",
        "file:///etc/passwd",
    ):
        with pytest.raises(EgressRefusedError):
            egress.follow("https://h.example/api/items", link)
