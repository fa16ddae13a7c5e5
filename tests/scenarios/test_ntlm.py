"""NTLM: a connection is signed in, and no request ever goes out on one that is not; against pyspnego's acceptor."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from spnego._ntlm_raw.crypto import ntowfv1

from integrator.auth.presenting import Ready, make_ready
from integrator.auth.trying import try_credential
from integrator.errors import ConfigError, IntegratorError, SignInAgainError, StopRunError, UnavailableError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.handshakes import NotSignedInError, SignIn
from integrator.wire.lanes import Lane, LanesTransport
from integrator.wire.message import LostError, NotSentError, Request
from integrator.wire.proxies import NO_PROXIES, Proxies
from integrator.wire.session import Bounds
from tests.services.authority import make_certificates
from tests.services.connect_proxy import ConnectProxy
from tests.services.moving import QUICK, failures, flow, move, parts, plan
from tests.services.ntlm_server import DOMAIN, PASSWORD, USER, NtlmServer
from tests.services.system import System, record

GOOD = {"username": f"{DOMAIN}\\{USER}", "password": PASSWORD}
WRONG = {"username": f"{DOMAIN}\\{USER}", "password": "wrong-password-42"}


def credential(url: str, **fields: Any) -> Credential:
    return Credential("acme", "there", "ntlm", url, {"plain_http": True, **GOOD, **fields})


def ready(server: NtlmServer, **fields: Any) -> Ready:
    return make_ready(credential(server.url, **fields), parts().around())


def session(server: NtlmServer, **fields: Any) -> SignedSession:
    return SignedSession(ready(server, **fields), NO_PROXIES)


def posting(server: NtlmServer, number: int = 1, *, method: str = "POST") -> Request:
    return Request(method, f"{server.url}/orders", {"Content-Type": "application/json"}, b'{"ext": "r%d"}' % number, False)


def once_at(moment: str) -> Callable[[str], bool]:
    """Break the first connection that comes to a moment."""
    left = [moment]
    return lambda now: now in left and (left.remove(now) or True)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[NtlmServer]:
    """Over https, and only for sign-ins that are bound to it."""
    made = NtlmServer(tmp_path, make_certificates(tmp_path / "tls"), "sha256").start()
    try:
        yield made
    finally:
        made.stop()


NAMES = [
    ({}, f"{DOMAIN}\\{USER}"), ({"username": USER, "domain": DOMAIN}, f"{DOMAIN}\\{USER}"),
    ({"username": f"{USER}@testdom.example"}, f"{USER}@testdom.example"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "user"), NAMES)
async def test_flows_read_and_write_and_each_body_goes_out_once(
    ntlm_server: NtlmServer, fields: dict[str, Any], user: str
) -> None:
    ntlm_server.records = [record(n) for n in range(300)]
    report = await move(parts(credential(ntlm_server.url, **fields)), plan(flow()))
    assert (report.counts.read, report.counts.created) == (300, 300)
    assert {one["ext"] for one in ntlm_server.stored} == {f"r{n}" for n in range(300)}
    assert [leg for leg, _size in ntlm_server.bodies] == ["request"] * 300
    assert ntlm_server.users == {user}
    # Many calls in flight, each connection signed in once, and no more of them than were asked for.
    assert ntlm_server.connections == ntlm_server.calls["in"] == ntlm_server.calls["hello"] <= 16
    assert ntlm_server.calls["unsigned"] == 0


@pytest.mark.parametrize(("fields", "user"), NAMES)
def test_people_s_sessions_read_and_write(ntlm_server: NtlmServer, fields: dict[str, Any], user: str) -> None:
    ntlm_server.records = [record(n) for n in range(3)]
    with session(ntlm_server, **fields) as mine:
        assert len(mine.get("/items").json()["items"]) == 3
        assert mine.post("/orders", json={"ext": "a"}).status_code == 201
        assert mine.post("/orders", data=iter([b'{"ext"', b': "b"}'])).status_code == 201
        assert PASSWORD not in repr(mine)
    assert [one["ext"] for one in ntlm_server.stored] == ["a", "b"]
    assert {leg for leg, _size in ntlm_server.bodies} == {"request"}
    assert (ntlm_server.connections, ntlm_server.calls["in"], ntlm_server.users) == (1, 1, {user})


@pytest.mark.parametrize("slots", [1, 3, 16])
async def test_so_many_connections_and_no_more(ntlm_server: NtlmServer, slots: int) -> None:
    ntlm_server.latency_s = 0.005
    transport = ready(ntlm_server, connections=slots).transport
    answers = await asyncio.gather(*(transport.send(posting(ntlm_server, n)) for n in range(64)))
    await transport.close()
    assert {one.status for one in answers} == {201}
    assert len({one["ext"] for one in ntlm_server.stored}) == len(ntlm_server.stored) == 64
    assert ntlm_server.connections == ntlm_server.calls["in"] == slots


async def test_a_wrong_password_is_tried_once_however_many_wait(ntlm_server: NtlmServer) -> None:
    ntlm_server.records = [record(n) for n in range(50)]
    with pytest.raises(SignInAgainError, match="refuses the credential") as refused:
        await move(parts(credential(ntlm_server.url, **WRONG)), plan(flow()))
    assert WRONG["password"] not in str(refused.value)
    transport = ready(ntlm_server, **WRONG).transport
    found = await asyncio.gather(*(transport.send(posting(ntlm_server, n)) for n in range(40)), return_exceptions=True)
    assert {type(one) for one in found} == {SignInAgainError}
    await transport.close()
    assert ntlm_server.calls["refused"] == 2  # one for the flow, one for the forty
    assert (ntlm_server.bodies, ntlm_server.stored) == ([], [])


async def test_a_refused_credential_waits_for_a_person_in_all_runs_and_workers(ntlm_server: NtlmServer) -> None:
    ntlm_server.records = [record(n) for n in range(3)]
    made = parts(credential(ntlm_server.url, **WRONG))
    wrong = made.credential("acme", "there")
    for _ in range(3):
        with pytest.raises(SignInAgainError, match="integrator credential test acme/there"):
            await move(made, plan(flow()))
        with SignedSession(make_ready(wrong, made.around()), NO_PROXIES) as mine, pytest.raises(SignInAgainError):
            mine.get("/items")
    assert ntlm_server.calls["refused"] == 1
    # A person may have it tried, which costs one more and leaves it waiting.
    assert not (await try_credential(wrong, made.around())).ok
    with pytest.raises(SignInAgainError):
        await move(made, plan(flow()))
    assert ntlm_server.calls["refused"] == 2
    # Other settings wait for nobody; nor does an account that works again, once it was tried.
    good = make_ready(credential(ntlm_server.url), made.around())
    assert (await good.transport.send(posting(ntlm_server))).status == 201
    await good.transport.close()
    ntlm_server.accounts.write_text(f"{DOMAIN}:{USER}:{WRONG['password']}\n")
    assert (await try_credential(wrong, made.around())).ok
    assert (await move(made, plan(flow()))).counts.created == 3


def test_a_wrong_password_is_tried_once_by_a_session(ntlm_server: NtlmServer) -> None:
    with session(ntlm_server, **WRONG) as mine:
        for _ in range(5):
            with pytest.raises(SignInAgainError, match="refuses the credential"):
                mine.post("/orders", json={"ext": "a"})
    assert (ntlm_server.calls["refused"], ntlm_server.bodies) == (1, [])


async def test_a_sign_in_is_bound_to_its_tls_connection(tls_server: NtlmServer) -> None:
    tls_server.records = [record(n) for n in range(60)]
    assert tls_server.tls is not None
    ca = tls_server.tls.ca
    assert (await move(parts(credential(tls_server.url, ca_certificate=ca)), plan(flow()))).counts.created == 60
    with session(tls_server, ca_certificate=ca) as mine:
        assert mine.get("/items").status_code == 200
    # Bound to another certificate than the server's own, as for somebody in between, it is refused.
    tls_server.digest = "sha512"
    with pytest.raises(SignInAgainError):
        await move(parts(credential(tls_server.url, ca_certificate=ca)), plan(flow()))
    with session(tls_server, ca_certificate=ca) as mine, pytest.raises(SignInAgainError):
        mine.get("/items")
    assert tls_server.calls["refused"] == 2


async def test_each_connection_shows_its_client_certificate(tls_server: NtlmServer) -> None:
    tls_server.records = [record(n) for n in range(30)]
    tls, context = tls_server.tls, tls_server.context
    assert tls is not None
    assert context is not None
    context.load_verify_locations(tls.issuer.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = (file.read_text() for file in tls.issuer.issue("client"))
    ours = {"ca_certificate": tls.ca, "client_certificate": certificate, "client_private_key": key}
    assert (await move(parts(credential(tls_server.url, **ours)), plan(flow()))).counts.created == 30
    with session(tls_server, **ours) as mine:
        assert mine.get("/items").status_code == 200
    with pytest.raises(IntegratorError):
        await move(parts(credential(tls_server.url, ca_certificate=tls.ca), attempts=1), plan(flow()))


async def test_a_certificate_signed_with_another_hash_binds_by_that_hash(tmp_path: Path) -> None:
    server = NtlmServer(tmp_path, made := make_certificates(tmp_path / "tls", "sha384"), "sha384").start()
    server.records = [record(1)]
    assert (await move(parts(credential(server.url, ca_certificate=made.ca)), plan(flow()))).counts.created == 1
    server.stop()


MOMENTS = ["hello", "challenge", "authenticate", "accepted"]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_flow_begins_anew_when_a_sign_in_breaks_off(ntlm_server: NtlmServer, moment: str) -> None:
    ntlm_server.records = [record(n) for n in range(40)]
    ntlm_server.breaks = once_at(moment)
    assert (await move(parts(credential(ntlm_server.url)), plan(flow()))).counts.created == 40
    assert sorted(one["ext"] for one in ntlm_server.stored) == sorted(f"r{n}" for n in range(40))
    assert [leg for leg, _size in ntlm_server.bodies] == ["request"] * 40


@pytest.mark.parametrize("moment", MOMENTS[:3])
def test_a_session_begins_anew_when_a_sign_in_breaks_off(ntlm_server: NtlmServer, moment: str) -> None:
    ntlm_server.breaks = once_at(moment)
    with session(ntlm_server) as mine:
        assert mine.post("/orders", json={"ext": "a"}).status_code == 201
    assert [leg for leg, _size in ntlm_server.bodies] == ["request"]


async def test_a_sign_in_whose_end_is_never_answered_is_not_repeated_for_long(ntlm_server: NtlmServer) -> None:
    ntlm_server.records = [record(n) for n in range(5)]
    ntlm_server.breaks = lambda moment: moment == "authenticate"
    with pytest.raises(UnavailableError, match="lest the account be locked"):
        await move(parts(credential(ntlm_server.url)), plan(flow()))
    assert ntlm_server.calls["authenticate"] == 3
    with session(ntlm_server) as mine:
        for _ in range(4):
            with pytest.raises((UnavailableError, SignInAgainError)):
                mine.get("/items")
    assert ntlm_server.calls["authenticate"] == 6


async def test_a_server_that_keeps_no_connection_is_named_as_such(ntlm_server: NtlmServer) -> None:
    ntlm_server.breaks = lambda moment: moment == "challenge"
    transport = ready(ntlm_server).transport
    with pytest.raises(NotSentError, match="closed between two steps"):
        await transport.send(posting(ntlm_server))
    await transport.close()
    with session(ntlm_server) as mine, pytest.raises(UnavailableError, match="closed between two steps"):
        mine.post("/orders", json={"ext": "a"})
    assert (ntlm_server.bodies, ntlm_server.calls["authenticate"]) == ([], 0)


async def test_an_idle_connection_that_was_closed_is_replaced(ntlm_server: NtlmServer) -> None:
    transport = ready(ntlm_server).transport
    with session(ntlm_server) as mine:
        for number in range(3):
            assert (await transport.send(posting(ntlm_server, number))).status == 201
            assert mine.post("/orders", json={"ext": f"s{number}"}).status_code == 201
            ntlm_server.close_connections()
            await asyncio.sleep(0.05)
    await transport.close()
    assert sorted(one["ext"] for one in ntlm_server.stored) == ["r0", "r1", "r2", "s0", "s1", "s2"]
    assert [leg for leg, _size in ntlm_server.bodies] == ["request"] * 6
    assert ntlm_server.connections == ntlm_server.calls["in"] == 6


async def test_nothing_goes_out_on_a_connection_that_was_opened_silently(ntlm_server: NtlmServer) -> None:
    made = ready(ntlm_server)
    lane = Lane(made.egress, Bounds.of(QUICK), made.trust, NO_PROXIES)
    sign_in: Any = SignIn("acme__there", made.scheme, "127.0.0.1")  # type: ignore[arg-type]
    for first in (True, False):
        answer = await lane.leg(Request("HEAD", f"{ntlm_server.url}/items", sign_in.headers()), first=first)
        sign_in.hear(answer.status, lane.offers, None)
    lane.sign()
    ntlm_server.close_connections()
    await asyncio.sleep(0.05)
    with pytest.raises(NotSignedInError):
        await lane.carry(posting(ntlm_server))
    await asyncio.sleep(0.05)
    assert (ntlm_server.bodies, ntlm_server.methods) == ([], ["HEAD", "HEAD"])
    await lane.close()


async def test_a_body_whose_answer_is_lost_is_not_sent_again(ntlm_server: NtlmServer) -> None:
    transport = ready(ntlm_server).transport
    ntlm_server.breaks = lambda moment: moment == "stored"
    with pytest.raises(LostError):
        await transport.send(posting(ntlm_server))
    with session(ntlm_server) as mine, pytest.raises(requests.ConnectionError):
        mine.post("/orders", json={"ext": "s"})
    ntlm_server.breaks = lambda moment: moment == "request"
    for method in ("GET", "PUT"):  # aiohttp alone would repeat these
        with pytest.raises(LostError):
            await transport.send(posting(ntlm_server, method=method))
    await transport.close()
    assert [one["ext"] for one in ntlm_server.stored] == ["r1", "s"]
    assert len(ntlm_server.bodies) == 4
    ntlm_server.breaks, ntlm_server.records = once_at("stored"), [record(n) for n in range(10)]
    made = parts(credential(ntlm_server.url))
    counts = (await move(made, plan(flow()))).counts
    assert (counts.created, counts.unknown, len(failures(made))) == (9, 1, 1)
    assert len(ntlm_server.stored) == 12


async def test_a_connection_that_was_signed_out_is_signed_in_anew(ntlm_server: NtlmServer) -> None:
    transport = ready(ntlm_server).transport
    with session(ntlm_server) as mine:
        mine.post("/orders", json={"ext": "s0"})
        await transport.send(posting(ntlm_server, 0))
        left = [1]
        ntlm_server.signs_out = lambda: bool(left and left.pop())
        assert (await transport.send(posting(ntlm_server, 1))).status == 201
        left.append(1)
        assert mine.post("/orders", json={"ext": "s1"}).status_code == 201
    await transport.close()
    assert [one["ext"] for one in ntlm_server.stored] == ["s0", "r0", "r1", "s1"]
    assert ntlm_server.calls["in"] == 4


async def test_a_server_that_wants_each_request_signed_in_is_named_as_such(ntlm_server: NtlmServer) -> None:
    ntlm_server.signs_out = lambda: True
    transport = ready(ntlm_server).transport
    for _ in range(2):
        with pytest.raises(SignInAgainError, match="authPersistSingleRequest"):
            await transport.send(posting(ntlm_server))
    await transport.close()
    with session(ntlm_server) as mine:
        assert mine.post("/orders", json={"ext": "s"}).status_code == 401
    assert ntlm_server.stored == []


async def test_a_busy_server_is_asked_again(ntlm_server: NtlmServer) -> None:
    ntlm_server.records, left = [record(1)], [503, 502, 429]
    ntlm_server.answers = lambda _method, _path: left.pop() if left else None
    assert (await move(parts(credential(ntlm_server.url)), plan(flow()))).counts.created == 1


def test_a_session_says_what_a_busy_server_says(ntlm_server: NtlmServer) -> None:
    for status, said in ((503, "patience"), (502, "gateway")):
        ntlm_server.answers = lambda _method, _path, status=status: status  # type: ignore[misc]
        with session(ntlm_server) as mine, pytest.raises(UnavailableError, match=said):
            mine.get("/items")


async def test_where_head_is_not_understood_it_is_get(ntlm_server: NtlmServer) -> None:
    ntlm_server.records = [record(n) for n in range(3)]
    ntlm_server.answers = lambda method, _path: 405 if method == "HEAD" else None
    assert (await move(parts(credential(ntlm_server.url, test_path="/items?per_page=1")), plan(flow()))).counts.created == 3
    with session(ntlm_server) as mine:
        assert mine.post("/orders", json={"ext": "s"}).status_code == 201
    assert {leg for leg, _size in ntlm_server.bodies} == {"request"}


async def test_an_open_system_is_just_used(system: System) -> None:
    system.records = [record(n) for n in range(3)]
    assert (await move(parts(credential(system.url)), plan(flow()))).counts.created == 3


async def test_an_open_system_that_takes_nothing_but_post_is_just_used(ntlm_server: NtlmServer) -> None:
    for status in (404, 405):
        ntlm_server.answers = lambda method, _path, status=status: 201 if method == "POST" else status  # type: ignore[misc]
        transport = ready(ntlm_server).transport
        assert [(await transport.send(posting(ntlm_server))).status for _ in range(3)] == [201] * 3
        await transport.close()
        with session(ntlm_server) as mine:
            assert mine.post("/orders", json={"ext": "s"}).status_code == 201
    assert len(ntlm_server.bodies) == 8


async def test_large_bodies(ntlm_server: NtlmServer) -> None:
    body = b'{"ext": "%s"}' % (b"x" * (20 << 20))
    transport = ready(ntlm_server).transport
    assert (await transport.send(Request("POST", f"{ntlm_server.url}/orders", {}, body))).status == 201
    await transport.close()
    with session(ntlm_server) as mine:
        assert mine.post("/orders", data=body).status_code == 201
    assert ntlm_server.bodies == [("request", len(body))] * 2


def test_threads_may_share_a_session(ntlm_server: NtlmServer) -> None:
    found: list[int] = []
    with session(ntlm_server) as mine:

        def work(number: int) -> None:
            found.extend(mine.post("/orders", json={"ext": f"{number}-{at}"}).status_code for at in range(15))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert found == [201] * 90
    assert len({one["ext"] for one in ntlm_server.stored}) == len(ntlm_server.stored) == 90
    assert ntlm_server.calls["refused"] == 0


def secret_forms() -> list[str]:
    nt_hash = ntowfv1(PASSWORD)
    return [PASSWORD, nt_hash.hex(), nt_hash.hex().upper(), "TlRMTVNTUAAD"]  # the last begins every answer to a challenge


async def test_no_log_shows_the_password_or_what_it_can_be_guessed_from(
    ntlm_server: NtlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    ntlm_server.records = [record(1)]
    names = [
        "",
        "spnego",
        "spnego._ntlm",
        "aiohttp",
        "aiohttp.client",
        "urllib3",
        "urllib3.connectionpool",
        "requests",
        "asyncio",
    ]
    for name in names:
        caplog.set_level(logging.DEBUG, name)
    await move(parts(credential(ntlm_server.url)), plan(flow()))
    with session(ntlm_server) as mine:
        mine.get("/items")
    with pytest.raises(SignInAgainError):
        await move(parts(credential(ntlm_server.url, **WRONG)), plan(flow()))
    logging.getLogger("requests").debug("still heard")
    assert "still heard" in caplog.text
    assert logging.getLogger("spnego._ntlm").isEnabledFor(logging.DEBUG)
    assert [one for one in [*secret_forms(), WRONG["password"]] if one in caplog.text] == []


HOSTILE = [
    (["NTLM TlRMTVNTUAACAAAA"], "makes no sense"), (["NTLM " + "A" * 8_000], "makes no sense"), (["NTLM " + "A" * 60_000], "."),
    (["NTLM TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAA="], "makes no sense"), (["NTLM ====", "NTLM"], "no challenge that can be read"),
    (['Basic realm="NTLM TlRM"'], "offers Basic, not NTLM; it was not sent the password"), (["Negotiate"], "set word to Negotiate"),
    ([], "asks for a sign-in and does not offer NTLM"), (["x" * 5000] * 8, "does not offer NTLM"),
]  # fmt: skip


@pytest.mark.parametrize(("offers", "said"), HOSTILE)
async def test_a_challenge_that_makes_no_sense_ends_the_sign_in(ntlm_server: NtlmServer, offers: list[str], said: str) -> None:
    ntlm_server.challenge = lambda _made: offers
    ntlm_server.offers = lambda: offers
    transport = ready(ntlm_server).transport
    with pytest.raises((StopRunError, NotSentError), match=said):
        await transport.send(posting(ntlm_server))
    await transport.close()
    with session(ntlm_server) as mine, pytest.raises((IntegratorError, requests.RequestException), match=said):
        mine.post("/orders", json={"ext": "a"})
    assert (ntlm_server.calls["authenticate"], ntlm_server.bodies) == (0, [])


@pytest.mark.parametrize("level", ["0", "1", "2", "9", "nonsense"])
async def test_nothing_weaker_than_version_2_is_ever_sent(
    ntlm_server: NtlmServer, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    transport = ready(ntlm_server).transport
    with pytest.raises(StopRunError, match="LM_COMPAT_LEVEL"):
        await transport.send(posting(ntlm_server))
    await transport.close()
    with session(ntlm_server) as mine, pytest.raises(StopRunError, match="LM_COMPAT_LEVEL"):
        mine.get("/items")
    assert ntlm_server.calls["authenticate"] == 0


async def test_a_server_that_offers_negotiate(ntlm_server: NtlmServer) -> None:
    ntlm_server.word, ntlm_server.records = "Negotiate", [record(1)]
    assert (await move(parts(credential(ntlm_server.url, word="Negotiate")), plan(flow()))).counts.created == 1
    with session(ntlm_server, word="Negotiate") as mine:
        assert mine.get("/items").status_code == 200


async def test_through_a_proxy_by_https_and_never_by_http(tls_server: NtlmServer) -> None:
    assert tls_server.tls is not None
    url = tls_server.url.replace("127.0.0.1", "ntlm.test")
    with ConnectProxy() as proxy:
        made = parts(
            credential(url, ca_certificate=tls_server.tls.ca), proxy=proxy.url, allowed_networks="127.0.0.0/8, 10.0.0.0/8"
        )
        tls_server.records = [record(n) for n in range(30)]
        assert (await move(made, plan(flow()))).counts.created == 30
        assert 1 <= tls_server.calls["in"] == len(proxy.tunnels) <= 16
        with SignedSession(make_ready(made.credential("acme", "there"), made.around()), Proxies.of(made.settings)) as mine:
            assert mine.post("/orders", json={"ext": "s"}).status_code == 201
        assert tls_server.calls["in"] == len(proxy.tunnels)
        assert tls_server.services == {"HTTP/ntlm.test"}
        plain = credential("http://10.9.9.9", plain_http=True)
        with pytest.raises(ConfigError, match="does not pass a proxy over http"):
            make_ready(plain, made.around())


async def test_a_sender_that_is_stopped_leaves_no_half_sign_in(ntlm_server: NtlmServer) -> None:
    ntlm_server.latency_s = 0.02
    transport = ready(ntlm_server, connections=2).transport
    assert isinstance(transport, LanesTransport)
    for wait_s in (0.005, 0.03, 0.05, 0.07):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(transport.send(posting(ntlm_server, n)) for n in range(20))), wait_s)
    await asyncio.sleep(0.1)
    ntlm_server.stored.clear()
    answers = await asyncio.gather(*(transport.send(posting(ntlm_server, n)) for n in range(20)))
    await transport.close()
    assert ({one.status for one in answers}, len(ntlm_server.stored), ntlm_server.calls["refused"]) == ({201}, 20, 0)
