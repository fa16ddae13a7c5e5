"""Who may be reached: addresses in every notation, names that resolve elsewhere, on both faces, before anything is sent."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.auth.presenting import make_ready
from integrator.errors import ConfigError, EgressRefusedError, IntegratorError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.settings import Settings
from integrator.wire.addresses import is_public, literal, networks, plain_address
from integrator.wire.egress import Egress
from integrator.wire.proxies import NO_PROXIES, Proxies
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record


def credential(url: str, **extra: Any) -> Credential:
    return Credential("acme", "there", "none", url, extra)


REFUSED = [
    "10.0.0.1", "192.168.1.1", "172.16.0.1", "172.31.255.255", "100.64.0.1", "0.0.0.0", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "[::]", "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[2002:a9fe:a9fe::1]", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "[ff02::1]", "2130706433", "0x7f.1", "127.1", "017700000001",
    "0x7f000001", "127.0.0.1.", "169.254.169.254.", "168.63.129.16", "100.100.100.200", "[fe80::1%25eth0]", "[::10.0.0.1]",
]  # fmt: skip


@pytest.mark.parametrize("host", REFUSED)
def test_a_host_that_spells_out_such_an_address_is_refused_outright(host: str) -> None:
    with pytest.raises(ConfigError):
        Egress.of(credential(f"https://{host}/api"), ())


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "api.example.com", "127.0.0.1", "[::1]", "localhost", "erp.localhost"]
)
def test_public_addresses_names_and_a_loopback_that_is_meant_are_not(host: str) -> None:
    assert Egress.of(credential(f"https://{host}/api"), ()).base_url == f"https://{host}/api"


def test_an_allowed_network_may_be_reached_but_metadata_never() -> None:
    allowed = networks("10.0.0.0/8, fd00::/8, 169.254.0.0/16")
    assert Egress.of(credential("https://10.1.2.3"), allowed)
    assert Egress.of(credential("https://[fd12::1]"), allowed)
    assert Egress.of(credential("https://[::ffff:10.1.2.3]"), allowed)
    for host in ("169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"):
        with pytest.raises(ConfigError, match="metadata"):
            Egress.of(credential(f"https://{host}"), allowed)


@pytest.mark.parametrize("url", ["https://good@evil.example", "https://user:secret-in-it@h.example", "https:// h.example", "https://h.example\\@evil.example", "https://h.example\r\nX: y", "//h.example", "https://", "https://h.example/#x", "https://[::1"])  # fmt: skip
def test_tricks_with_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Egress.of(credential(url), ())
    assert "secret-in-it" not in str(refused.value)


@given(st.ip_addresses(v=4))
def test_every_ipv6_form_of_an_ipv4_address_is_judged_as_that_address(address: ipaddress.IPv4Address) -> None:
    forms = [
        f"::ffff:{address}",
        f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}",
        f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::",
    ]
    for form in forms:
        made = plain_address(ipaddress.ip_address(form))
        assert made == address
        assert is_public(made) == is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_numbers_in_odd_notations_are_no_names(number: int) -> None:
    for text in (str(number), hex(number), f"0{number:o}", f"127.{number % 256}"):
        with pytest.raises(ValueError, match=r".*"):
            assert literal(text) is None, text


def resolving(monkeypatch: pytest.MonkeyPatch, host: str, *addresses: str) -> None:
    """Let a host resolve to one address after the other, in the loop as in threads."""
    left, real = list(addresses), socket.getaddrinfo

    def resolve(name: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        if name != host:
            return real(name, port, *arguments, **more)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0"])
@pytest.mark.parametrize("face", ["engine", "session"])
def test_a_name_that_resolves_to_such_an_address_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, system: System, address: str, face: str
) -> None:
    resolving(monkeypatch, "api.example.com", address)
    there = credential(f"https://api.example.com:{system.port}")
    with pytest.raises(EgressRefusedError, match=r"api\.example\.com"):
        if face == "engine":
            asyncio.run(move(parts(there), plan(flow())))
        else:
            with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
                session.get("/items")
    assert not system.calls


def test_a_session_connects_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch, system: System) -> None:
    """A resolver that changes its answer between the check and the connection gains nothing: there is one answer."""
    system.records = [record(1)]
    resolving(monkeypatch, "erp.internal", "127.0.0.1", "10.9.9.9")
    there = credential(f"http://erp.internal:{system.port}", plain_http=True)
    with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
        session.adapters["http://"].close()
        with pytest.raises(EgressRefusedError, match="outside loopback"):
            session.get("/items")


def test_a_redirect_elsewhere_is_not_followed_and_carries_no_credential(system: System) -> None:
    from aiohttp import web

    other = System().start()
    try:
        for target in (
            f"{other.url}/items",
            "http://169.254.169.254/latest",
            "http://[::ffff:10.0.0.1]/",
            f"http://u:p@127.0.0.1:{system.port}/",
        ):
            system.on_read = lambda _request, to=target: web.Response(status=302, headers={"Location": to})  # type: ignore[misc]
            there = Credential("acme", "there", "bearer", system.url, {"plain_http": True, "token": "secret-token"})
            with pytest.raises(IntegratorError, match="leads to another"):
                asyncio.run(move(parts(there), plan(flow())))
            with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session, pytest.raises(EgressRefusedError):
                session.get("/items")
        assert not other.calls
    finally:
        other.stop()


def test_which_calls_go_through_a_proxy() -> None:
    made = Proxies.of(Settings(proxy="http://u:secret@proxy.example:3128", no_proxy="corp.example, 10.0.0.0/8,*.lan"))
    assert made.for_url("https://api.example.com/x") == "http://u:secret@proxy.example:3128"
    for url in (
        "https://erp.corp.example",
        "https://corp.example",
        "https://10.1.2.3",
        "http://127.0.0.1:1",
        "http://localhost",
        "https://x.lan",
    ):
        assert made.for_url(url) is None
    assert made.for_url("https://notcorp.example") is not None
    assert "secret" not in repr(made)
    with pytest.raises(ConfigError, match="proxy is not a URL") as refused:
        Proxies.of(Settings(proxy="secret-proxy"))
    assert "secret-proxy" not in str(refused.value)


def test_plain_http_does_not_pass_a_proxy_to_where_nobody_can_see(system: System) -> None:
    """The connector checks the proxy's address only; in clear to any host of the internet is what plain_http does not allow."""
    around = parts(proxy=system.url, no_proxy="lab.example", allowed_networks="10.0.0.0/8").around()
    with pytest.raises(ConfigError, match=r"a proxy leads api\.example\.com to cannot be seen"):
        make_ready(credential("http://api.example.com", plain_http=True), around)
    for url in ("https://api.example.com", "http://x.lab.example", "http://10.1.2.3", "http://localhost:9"):
        make_ready(credential(url, plain_http=True), around)
    made = make_ready(credential("https://api.example.com", plain_http=True), around).egress
    with pytest.raises(EgressRefusedError, match="sign-in gave a base URL outside"):
        made.capture("http://api.example.com")
    assert not system.calls
