"""The list of hosts that a project's credentials may reach: one spelling for one host, and nothing slips past in another."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrator.auth.presenting import make_ready
from integrator.auth.trying import try_credential
from integrator.errors import ConfigError, EgressRefusedError, IntegratorError, StopRunError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.model.hosts import HOSTS_MAX, Host, canonical, hosts_of
from integrator.model.project import Wants
from integrator.settings import Settings
from integrator.store.database import open_engine, upgrade
from integrator.store.projects import SqlProjects
from integrator.wire.egress import Egress
from integrator.wire.proxies import NO_PROXIES, Proxies
from integrator.wiring import for_airflow, for_cli, for_hooks
from tests.services.moving import HASH_KEY, flow, move, parts, plan
from tests.services.system import System, record

LISTED = ("api.example.com", "*.shop.example", "93.184.216.34", "[2001:4860::7]", "erp.example.org:8443", "xn--strae-oqa.example")


def credential(url: str, scheme: str = "none", **extra: Any) -> Credential:
    return Credential("acme", "there", scheme, url, extra)


def opened(url: str, *listed: str, **extra: Any) -> Egress:
    return Egress.of(credential(url, **extra), (), listed=hosts_of(listed or LISTED))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com", "https://API.Example.COM/x", "https://api.example.com./x", "https://api.example.com:8443", "https://us.shop.example", "https://a.b.shop.example",
        "https://93.184.216.34", "https://[::ffff:93.184.216.34]", "https://api.example.com:443", "https://[2001:4860::7]", "https://[2001:4860:0:0:0:0:0:7]", "https://[2001:4860::0007]:9000", "https://erp.example.org:8443",
        "https://xn--strae-oqa.example",
    ],
)  # fmt: skip
def test_what_is_listed_may_be_reached_in_whatever_letters(url: str) -> None:
    assert opened(url).base_url


ATTACKS = [
    "https://example.com", "https://evil.example", "https://xapi.example.com", "https://api.example.com.evil.example", "https://api.example.com..", "https://.api.example.com",
    "https://shop.example", "https://evilshop.example", "https://erp.example.org", "https://erp.example.org:443", "https://erp.example.org:84430", "https://erp.example.org.:444", "https://x.erp.example.org:8443",
    "https://93.184.216.35", "https://1572395042", "https://0x5d.184.216.34", "https://93.184.55330", "https://93.184.216.034", "https://93.184.216.34.", "https://[2001:4860::8]", "https://[::ffff:93.184.216.35]",
    "https://[2001:4860::7%25eth0]", "https://api%2eexample%2ecom", "https://api.example.com%00.evil.example", "https://api.example.com%2f.evil.example", "https://аpi.example.com", "https://api。example。com",
    "https://ａpi.example.com", "https://straße.example", "https://strasse.example", "https://faß.shop.example", "https://api.exam\u00adple.com", "https://api.example.com\u200b", "https://api.example.com@evil.example",
    "https://evil.example#@api.example.com", "https://evil.example\\.api.example.com", "https://evil.example/.shop.example", "https://-.shop.example", "https://a..shop.example", "https://*.shop.example",
    "https://8.8.8.8.shop.example:0x1bb",
]  # fmt: skip


@pytest.mark.parametrize("url", ATTACKS)
def test_nothing_else_may_be_reached_in_whatever_spelling(url: str) -> None:
    with pytest.raises(ConfigError):
        opened(url)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("API.Example.com.", "api.example.com"), ("*.Example.COM:443", "*.example.com:443"), ("[2001:DB8:0::1]:8443", "[2001:db8::1]:8443"), ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("db_1", "db_1"), ("localhost", "localhost"), ("127.0.0.1:8080", "127.0.0.1:8080"),
    ],
)  # fmt: skip
def test_an_entry_has_one_spelling(text: str, made: str) -> None:
    assert str(Host.of(text)) == made
    assert str(Host.of(made)) == made


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "*", "*.", "**.example.com", "a.*.example.com", "*example.com", "https://api.example.com", "api.example.com/path", "api.example.com:", "api.example.com:0", "api.example.com:65536",
        "api.example.com:443:443", "2001:db8::1", "[2001:db8::1", "[2001:db8::1%eth0]", "[]", "10.0.0.0/8", "127.1", "0x7f000001", "2130706433", "01.2.3.4", "*.1.2.3.4", "*.10", "user@api.example.com", "api example.com",
        " api.example.com", "api.example.com ", "api.example.com\n", "api_.example..com", "straße.example", "аpi.example.com", "a" * 64 + ".com", ".".join(["a" * 60] * 5), "-a.example", "a-.example", "api.example.com?x", "%61pi.example.com",
    ],
)  # fmt: skip
def test_what_is_no_host_is_no_entry(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Host.of(text)


@given(st.text(max_size=40) | st.from_regex(r"[*.a-z0-9\[\]:%-]{1,30}", fullmatch=True))
def test_whatever_is_typed_is_an_entry_that_reads_the_same_again_or_a_fault(text: str) -> None:
    try:
        made = Host.of(text)
    except ValueError as fault:
        assert str(fault)
        return
    assert Host.of(str(made)) == made
    assert canonical(made.name) == made.name


@given(st.ip_addresses())
def test_every_address_is_listed_in_one_spelling(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    text = f"[{address.exploded.upper()}]" if address.version == 6 else str(address)
    bare = str(address)
    assert Host.of(text).has(canonical(bare), 443)
    assert not Host.of(f"{text}:8443").has(canonical(bare), 443)


@pytest.mark.parametrize("host", ["straße.example", "аpi.example.com", "api。example。com"])
def test_a_host_beyond_ascii_is_said_how_to_be_written(host: str) -> None:
    with pytest.raises(ValueError, match="xn--"):
        Host.of(host)


def test_a_list_is_bounded_and_each_host_is_in_it_once() -> None:
    assert len(hosts_of(["a.example", "A.example.", "a.example:443"])) == 2
    with pytest.raises(ValueError, match="at most"):
        hosts_of(f"h{n}.example" for n in range(HOSTS_MAX + 1))


WANTS = Wants(egress=("127.0.0.1",))
AWAY = Wants(egress=("api.example.com",))


@pytest.mark.parametrize("door", ["engine", "session", "test"])
def test_every_door_asks_before_anything_is_sent(system: System, door: str) -> None:
    system.records = [record(1)]
    for wants, passes in ((WANTS, True), (AWAY, False), (Wants(egress=(f"127.0.0.1:{system.port + 1}",)), False)):
        system.calls.clear()
        there = credential(system.url, plain_http=True)
        made = parts(there, wants=wants)
        try:
            if door == "engine":
                asyncio.run(move(made, plan(flow())))
            elif door == "session":
                with SignedSession(make_ready(there, made.around()), NO_PROXIES) as session:
                    session.get("/items")
            else:
                tried = asyncio.run(try_credential(there, made.around()))
                assert tried.ok == passes, tried.words
                assert passes or "egress list" in tried.words
        except IntegratorError as refused:
            assert not passes
            assert "credential acme__there" in str(refused) and "egress list" in str(refused)
        else:
            assert passes or door == "test"
        assert bool(system.calls) == passes


URLS = {
    "oauth2": {"grant": "client_credentials", "client_id": "me", "client_secret": "s" * 12},
    "session_login": {"login_path": "/login", "login_body": "{}", "username": "u", "password": "p" * 12},
}


def test_where_a_sign_in_hands_out_tokens_must_be_listed_too() -> None:
    there = credential("https://api.example.com", "oauth2", **URLS["oauth2"], token_url="https://login.evil.example/token")
    with pytest.raises(ConfigError, match=r"login\.evil\.example"):
        make_ready(there, parts(wants=Wants(egress=("api.example.com",))).around())
    assert make_ready(there, parts(wants=Wants(egress=("api.example.com", "login.evil.example"))).around())


@pytest.mark.parametrize(
    "url", ["https://other.example.com", "https://api.example.com:8443", "https://evil.example", "https://аpi.example.com"]
)
def test_a_base_url_that_a_sign_in_names_must_be_listed(url: str) -> None:
    made = Egress.of(
        credential("https://api.example.com"),
        (),
        (),
        ["example.com", "evil.example"],
        hosts_of(["api.example.com:443", "eu.example.com"]),
    )
    with pytest.raises(EgressRefusedError):
        made.capture(url)
    made.capture("https://eu.example.com/v2")
    assert made.at("/x") == "https://eu.example.com/v2/x"


def test_a_link_or_redirect_leads_nowhere_else(system: System) -> None:
    made = opened("https://us.shop.example/api")
    for link in ("https://eu.shop.example/api?page=2", "//eu.shop.example/", "https://api.example.com/"):
        with pytest.raises(EgressRefusedError):
            made.follow("https://us.shop.example/api", link)
        with pytest.raises(EgressRefusedError):
            made.refuse_url(link)


def test_a_listed_host_is_no_way_to_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    there = credential("https://api.example.com")
    with pytest.raises((EgressRefusedError, StopRunError)):
        asyncio.run(move(parts(there, wants=AWAY), plan(flow())))


def test_the_proxy_is_the_platform_s_and_in_no_project_s_list() -> None:
    there = credential("https://api.example.com")
    made = make_ready(there, parts(there, wants=AWAY, proxy="http://proxy.example:3128").around()).egress
    assert (
        Proxies.of(parts(proxy="http://proxy.example:3128").settings).for_url("https://api.example.com")
        == "http://proxy.example:3128"
    )
    made.refuse_address("proxy.example", 3128, "10.0.0.1")


def test_a_project_whose_list_cannot_be_read_opens_nothing() -> None:
    def away(_project: str) -> Wants:
        raise StopRunError("the journal's database is not there")

    there = credential("https://api.example.com")
    with pytest.raises(StopRunError):
        make_ready(there, replace(parts(there).around(), wants=away))


def test_a_production_project_refuses_plain_http_wherever_it_leads(system: System) -> None:
    there = credential(system.url, plain_http=True)
    for door in (
        lambda made: make_ready(there, made.around()),
        lambda made: asyncio.run(move(made, plan(flow()))),
    ):
        with pytest.raises(ConfigError, match="production project, which refuses plain_http"):
            door(parts(there, wants=Wants(production=True)))
    assert not system.calls
    secure = credential("https://api.example.com", plain_http="no")
    assert make_ready(secure, parts(wants=Wants(production=True)).around())


def test_a_list_that_was_spoilt_lets_nothing_pass() -> None:
    with pytest.raises(ConfigError, match="egress list of project acme cannot be read"):
        make_ready(credential("https://api.example.com"), parts(wants=Wants(egress=("*",))).around())


@pytest.fixture
def journal(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    upgrade(url)
    SqlProjects(open_engine(url)).set("acme", AWAY, "a test")
    return url


@pytest.mark.parametrize("door", ["airflow", "hooks", "command line"])
@pytest.mark.parametrize("project", ["acme", "Acme", "ACME"])
def test_every_door_reads_the_list_of_the_credential_s_project_however_it_is_spelt(
    journal: str, tmp_path: Path, door: str, project: str
) -> None:
    there = Credential(project, "there", "none", "https://evil.example", {})
    settings = Settings(sql_alchemy_conn=journal, hash_key=HASH_KEY, home=str(tmp_path))
    if door == "airflow":
        around = for_airflow(settings, lambda _p, _n: there, lambda _p, _n: None, "", lambda _secret: None).around()
    elif door == "hooks":
        around = for_hooks(settings, "", lambda _secret: None)
    else:
        environ = {
            "AIRFLOW__INTEGRATOR__SQL_ALCHEMY_CONN": journal,
            "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY,
            "INTEGRATOR_HOME": str(tmp_path),
        }
        around = for_cli(environ).around()
    with pytest.raises(ConfigError, match="egress list"):
        make_ready(there, around)
    assert make_ready(Credential("other", "there", "none", "https://evil.example", {}), around)
    with open_engine(journal).begin() as c:
        c.exec_driver_sql("DROP TABLE integrator_projects")
    with pytest.raises(StopRunError):
        make_ready(there, around)
