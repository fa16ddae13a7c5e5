"""On every scheme: a custom authority and a client certificate, on both faces, against a server that asks for one; and what is said when they do not fit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from integrator.auth.presenting import make_ready
from integrator.auth.trying import try_credential
from integrator.errors import ConfigError, IntegratorError, StopRunError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.proxies import NO_PROXIES
from integrator.wire.tls import pem
from tests.scenarios.test_p2_no_secret_is_shown import FIELDS, Echo
from tests.services.authority import Authority
from tests.services.moving import flow, move, parts, plan
from tests.services.system import record


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("client")


@pytest.fixture
def guarded(authority: Authority, server: tuple[Path, Path]) -> Iterator[Echo]:
    made = Echo()
    made.tls = authority.server_context(*server, asks=True)
    made.start()
    made.records = [record(n) for n in range(2)]
    yield made
    made.stop()


def credential(port: int, authority: Authority, pair: tuple[Path, Path] | None, scheme: str = "none", host: str = "localhost", **extra: Any) -> Credential:  # fmt: skip
    given = {**FIELDS[scheme], "ca_certificate": authority.certificate.read_text(), **extra}
    if pair is not None:
        given |= {"client_certificate": pair[0].read_text(), "client_private_key": pair[1].read_text()}
    return Credential(
        "acme", "there", scheme, f"https://{host}:{port}", {name: value for name, value in given.items() if value is not None}
    )


@pytest.mark.parametrize("scheme", [name for name in FIELDS if name != "ntlm"])
async def test_every_scheme_shows_its_certificate_to_a_server_that_asks(
    guarded: Echo, authority: Authority, ours: tuple[Path, Path], scheme: str
) -> None:
    there = credential(guarded.port, authority, ours, scheme)
    assert (await move(parts(there), plan(flow()))).counts.created == 2
    with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
    without = credential(guarded.port, authority, None, scheme)
    with pytest.raises(IntegratorError):
        await move(parts(without, attempts=1), plan(flow()))


async def said(there: Credential) -> str:
    tried = await try_credential(there, parts().around())
    assert not tried.ok
    return tried.words


async def test_what_does_not_fit_is_told_in_words(
    authority: Authority, server: tuple[Path, Path], ours: tuple[Path, Path], tmp_path: Path
) -> None:
    strangers = Authority(tmp_path / "strangers", "Somebody else")
    expired = authority.issue("expired", "localhost", days=0)
    cases = [
        (server, False, credential(0, strangers, None), "authority that is not known here"),
        (expired, False, credential(0, authority, None), "has expired"),
        (authority.issue("other", "erp.example"), False, credential(0, authority, None), "for another host"),
        (authority.issue("named", "localhost"), False, credential(0, authority, None, host="127.0.0.1"), "for another address"),
        (server, True, credential(0, authority, None), "does it ask for a client certificate|breaks off|client certificate"),
        (server, True, credential(0, authority, strangers.issue("stranger")), "client certificate"),
    ]
    for pair, asks, there, words in cases:
        made = Echo()
        made.tls = authority.server_context(*pair, asks=asks)
        made.start()
        try:
            url = there.base_url.rpartition(":")[0]
            told = await said(Credential("acme", "there", "none", f"{url}:{made.port}", there.extra))
            assert any(one in told for one in words.split("|")), (words, told)
        finally:
            made.stop()


async def test_a_server_s_own_certificate_may_be_what_is_trusted(authority: Authority, server: tuple[Path, Path]) -> None:
    made = Echo()
    made.tls = authority.server_context(*server, asks=False)
    made.start()
    try:
        there = Credential("acme", "there", "none", f"https://localhost:{made.port}", {"ca_certificate": server[0].read_text()})
        assert (await try_credential(there, parts().around())).ok
    finally:
        made.stop()


def test_a_person_s_session_trusts_the_given_authority_and_no_public_one(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = Authority(tmp_path / "public", "A public authority")
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(public.certificate))
    made = Echo()
    made.tls = authority.server_context(*public.issue("impostor", "localhost"), asks=False)
    made.start()
    try:
        ready = make_ready(credential(made.port, authority, None), parts().around())
        with SignedSession(ready, NO_PROXIES) as session:
            with pytest.raises(requests.exceptions.SSLError):
                session.get("/items")
            for asked in ({"verify": False}, {"verify": str(public.certificate)}, {"cert": str(public.certificate)}):
                with pytest.raises(ConfigError, match="leave verify and cert out"):
                    session.get("/items", **asked)
            session.verify = False
            with pytest.raises(ConfigError, match="leave verify and cert out"):
                session.get("/items")
        assert len(ready.trust.context().get_ca_certs()) == 1  # the engine's connections use it too
        assert not made.calls
    finally:
        made.stop()


@pytest.mark.parametrize(
    "squeeze",
    [str, lambda text: text.replace("\n", " "), lambda text: text.replace("\n", ""), lambda text: text.replace("\n", "\\n")],
)
async def test_a_form_may_swallow_line_breaks(guarded: Echo, authority: Authority, ours: tuple[Path, Path], squeeze: Any) -> None:
    there = credential(guarded.port, authority, ours)
    extra = {name: squeeze(value) for name, value in there.extra.items()}
    assert (await try_credential(Credential("acme", "there", "none", there.base_url, extra), parts().around())).ok


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN A-----" * 60_000,
        "".join(f"-----BEGIN A{n}-----" for n in range(60_000)),
        "-----BEGIN A-----" + "\n" * 1_000_000,
    ],
)
def test_a_field_full_of_beginnings_holds_nobody_up(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="not in PEM form"):
        pem("ca_certificate", text)
    assert time.monotonic() - began < 2


async def test_a_key_may_be_encrypted(guarded: Echo, authority: Authority) -> None:
    pair = authority.issue("locked", password="pa$$ wörd")
    there = credential(guarded.port, authority, pair, client_private_key_password="pa$$ wörd")
    assert (await try_credential(there, parts().around())).ok


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_certificate": None}, "needs client_certificate beside it"), ({"client_certificate": "nope"}, "client_certificate is not in PEM form"), ({"ca_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "ca_certificate holds no certificate"),
        ({"client_private_key_password": "wrong-password"}, "client_private_key_password"), ({"client_private_key": "OTHER"}, "not the key of client_certificate"),
    ],
)  # fmt: skip
def test_a_certificate_that_cannot_be_used_is_told_with_its_cure(
    authority: Authority, ours: tuple[Path, Path], change: dict[str, Any], words: str
) -> None:
    locked = authority.issue("locked2", password="right-password") if "client_private_key_password" in change else ours
    there = credential(1, authority, locked)
    other = authority.issue("other-client")[1].read_text()
    extra = {**there.extra, **{name: other if value == "OTHER" else value for name, value in change.items()}}
    made = Credential(
        "acme", "there", "none", there.base_url, {name: value for name, value in extra.items() if value is not None}
    )
    with pytest.raises(ConfigError, match=words) as refused:
        make_ready(made, parts().around())
    assert "wrong-password" not in str(refused.value)


async def test_a_flow_ends_at_once_where_there_is_no_trust(
    authority: Authority, server: tuple[Path, Path], tmp_path: Path
) -> None:
    made = Echo()
    made.tls = authority.server_context(*server, asks=False)
    made.start()
    try:
        there = credential(made.port, Authority(tmp_path / "x", "x"), None)
        with pytest.raises(StopRunError, match="authority that is not known"):
            await move(parts(there), plan(flow()))
    finally:
        made.stop()
