"""Scheme oauth2 against a certified provider: every grant and client authentication, on both faces; rotation; refusals in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec
import pytest
import requests
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from integrator.auth.assertions import ALGORITHMS, Assertion
from integrator.auth.presenting import make_ready, token_key
from integrator.commands.authorizing import Browser, authorize_credential
from integrator.errors import ConfigError, EgressRefusedError, RunError, SignInAgainError, UnavailableError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.store.database import open_engine, upgrade
from integrator.store.memory_tokens import MemoryTokens
from integrator.store.owner import new_owner
from integrator.store.sealing import Sealer
from integrator.store.tokens import SqlTokens
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from integrator.wiring import Parts
from tests.services import refresh_process
from tests.services.clerk import clerk
from tests.services.moving import flow, move, parts, plan
from tests.services.oidc import SECRET, Guard, Oidc, provider
from tests.services.system import System, record

FERNET = "x" * 43 + "="


@pytest.fixture(scope="module")
def oidc() -> Iterator[Oidc]:
    with provider() as made:
        yield made


@pytest.fixture
def guard(system: System, oidc: Oidc) -> Guard:
    system.records = [record(n) for n in range(3)]
    made = Guard(oidc)
    system.on_read = made
    return made


def credential(system: System, oidc: Oidc, **fields: Any) -> Credential:
    return Credential("acme", "there", "oauth2", system.url, {"plain_http": True, "token_url": f"{oidc.url}/token", **fields})


def tokens_in(folder: Path) -> SqlTokens:
    url = f"sqlite:///{folder / 'tokens.db'}"
    upgrade(url)
    return SqlTokens(open_engine(url), Sealer(FERNET))


def with_tokens(made: Parts, tokens: Any) -> Parts:
    from dataclasses import replace

    return replace(made, tokens=tokens)


def fields_of(grant: str, oidc: Oidc) -> dict[str, Any]:
    key = {"private_key": oidc.private_key, "key_id": "k1"}
    return {
        "basic": {"client_id": "basic", "client_secret": SECRET, "scope": "read"},
        "post": {"client_id": "post", "client_secret": SECRET, "client_auth": "post", "scope": "read write"},
        "private_key_jwt": {"client_id": "signs", "client_auth": "private_key_jwt", **key, "scope": "read"},
        "private_key_jwt on one line": {"client_id": "signs", "client_auth": "private_key_jwt", **key, "private_key": oidc.private_key.replace("\n", " ")},
        "password": {"grant": "password", "client_id": "person", "client_secret": SECRET, "client_auth": "post", "username": "ürsula", "password": SECRET, "scope": "read"},
        "jwt_bearer": {"grant": "jwt_bearer", "client_id": "states", **key, "assertion_subject": "somebody"},
    }[grant]  # fmt: skip


GRANTS = ["basic", "post", "private_key_jwt", "private_key_jwt on one line", "password", "jwt_bearer"]


@pytest.mark.parametrize("grant", GRANTS)
async def test_every_grant_signs_the_engine_s_calls(system: System, oidc: Oidc, guard: Guard, grant: str) -> None:
    made = parts(credential(system, oidc, **fields_of(grant, oidc)))
    report = await move(made, plan(flow()))
    assert report.counts.created == 3
    assert len(guard.tokens) == 1  # earned once, used for all calls
    await move(made, plan(flow()))
    assert len(guard.tokens) == 1  # and kept for the next run


@pytest.mark.parametrize("grant", GRANTS)
def test_every_grant_signs_a_person_s_session(system: System, oidc: Oidc, guard: Guard, grant: str) -> None:
    with SignedSession(make_ready(credential(system, oidc, **fields_of(grant, oidc)), parts().around()), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
        guard.revoked.update(guard.tokens)
        assert session.get("/items").status_code == 200  # signed in again, once
        assert len(guard.tokens) == 2
        assert SECRET not in repr(session)


async def test_a_token_that_is_no_longer_good_is_renewed_once_and_then_a_person_is_asked(
    system: System, oidc: Oidc, guard: Guard
) -> None:
    made, compiled = parts(credential(system, oidc, **fields_of("basic", oidc))), plan(flow())
    await move(made, compiled)
    guard.revoked.update(guard.tokens)
    assert (await move(made, compiled)).counts.read == 3
    assert len(guard.tokens) == 2
    system.on_read = lambda _request: web.Response(status=401)
    with pytest.raises(SignInAgainError, match="acme__there refuses the credential"):
        await move(made, compiled)


async def test_sixty_four_calls_that_are_refused_at_once_sign_in_once(system: System, oidc: Oidc, guard: Guard) -> None:
    ready = make_ready(credential(system, oidc, **fields_of("basic", oidc)), parts().around())
    from integrator.wire.message import Answer, Request

    first = await ready.signer.sign(Request("GET", f"{system.url}/items", {}))

    async def refused() -> Any:
        await ready.signer.again(first, Answer(401, {}, b""))
        return (await ready.signer.sign(Request("GET", f"{system.url}/items", {}))).token

    made = await asyncio.gather(*(refused() for _ in range(64)))
    assert len({one.value for one in made}) == 1
    assert made[0].value != first.token.value  # type: ignore[attr-defined]
    await ready.signer.close()
    await ready.transport.close()


async def test_an_expired_token_is_renewed_before_it_is_refused(system: System) -> None:
    system.records = [record(n) for n in range(3)]
    with provider(ttl_s=2) as short:
        guard = Guard(short)
        system.on_read = guard
        made, compiled = parts(credential(system, short, **fields_of("basic", short))), plan(flow())
        await move(made, compiled)
        await asyncio.sleep(2)
        system.calls.clear()
        await move(made, compiled)
        assert len(guard.tokens) == 2
        assert all(guard.known.values())  # nobody was refused on the way


REFUSED = [
    ({"client_id": "basic", "client_secret": "wrong-secret-of-it"}, "does not accept the client"),
    ({"client_id": "post"}, "does not accept the client"),  # no secret, where one is asked for
    ({"client_id": "basic", "client_secret": SECRET, "grant": "password", "username": "u", "password": "wrong-password"}, "check client_auth, scope"),
    ({"client_id": "person", "client_secret": SECRET, "client_auth": "post", "grant": "password", "username": "u", "password": "wrong-password"}, "somebody has to sign in anew"),
    ({"client_id": "narrow", "client_secret": SECRET, "scope": "write"}, "scope is not known there"),
    ({"client_id": "basic", "client_secret": SECRET, "token_url": "/nowhere"}, "token URL"),
    ({"client_id": "x", "grant": "refresh_token", "refresh_token": "made-up-token"}, "must be kept|have to be kept"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), REFUSED)
async def test_a_refusal_is_told_in_words(system: System, oidc: Oidc, fields: dict[str, Any], said: str) -> None:
    with pytest.raises((SignInAgainError, ConfigError), match=said) as refused:
        await move(parts(credential(system, oidc, **fields)), plan(flow()))
    assert not any(str(value) in str(refused.value) for name, value in fields.items() if name in ("client_secret", "password"))
    assert "acme__there" in str(refused.value)


async def test_invalid_grant_stops_every_further_try_until_a_person_has_looked(system: System, guard: Guard) -> None:
    tokens = MemoryTokens(lasting=True)
    with clerk({"error": "invalid_grant"}, status=400) as desk:
        given = {
            "plain_http": True,
            "token_url": f"{desk.url}/token",
            "grant": "password",
            "username": "u",
            "password": "old-password",
        }
        made = with_tokens(parts(Credential("acme", "there", "oauth2", system.url, given)), tokens)
        for _times in range(3):
            with pytest.raises(SignInAgainError, match=r"acme__there: .*anew"):
                await move(made, plan(flow()))
        assert desk.calls == 1
        desk.answer, desk.status = {"access_token": "good"}, 200
        with pytest.raises(SignInAgainError, match="anew"):
            await move(made, plan(flow()))
        system.on_read = lambda _request: None
        changed = Credential("acme", "there", "oauth2", system.url, {**given, "password": "new-password"})
        assert (await move(with_tokens(parts(changed), tokens), plan(flow()))).counts.created == 3
        assert desk.calls == 2


HOSTILE: list[tuple[Any, int, dict[str, str], str | None]] = [
    ({"access_token": "good", "expires_in": "soon"}, 200, {}, None),
    ({"access_token": "good", "expires_in": -5}, 200, {}, None),
    ({"access_token": "good", "expires_in": 1e308}, 200, {}, None),
    ({"access_token": "good", "expires_in": "3600"}, 200, {}, None),
    ({"access_token": "good", "expires_in": True}, 200, {}, None),
    ({"access_token": "good", "expires_in": [1]}, 200, {}, None),
    (b"access_token=good&token_type=bearer", 200, {"Content-Type": "application/x-www-form-urlencoded"}, None),
    ({"access_token": "good", "token_type": "DPoP"}, 200, {}, "more than a bearer token"),
    ({"access_token": "good\r\nX-Evil: 1"}, 200, {}, "cannot stand in a header"),
    ({"access_token": "g\u20acd"}, 200, {}, "cannot stand in a header"),
    ({"access_token": {"a": 1}}, 200, {}, "no access_token"),
    ({"access_token": ""}, 200, {}, "no access_token"),
    ([1], 200, {}, "not what a token URL answers"),
    (b"<html>secret-in-the-page</html>", 200, {}, "not what a token URL answers"),
    (b"[" * 100_000, 200, {}, "not what a token URL answers"),
    (b"x" * (100 << 20), 200, {}, "larger than 1 MiB"),
    ({"error": "invalid_client", "error_description": "secret-in-the-text"}, 401, {}, "does not accept the client"),
    ({"error": "Sp\u00e4t\x1b[31m"}, 400, {}, r"refuses \(400\)"),
    ({}, 302, {"Location": "http://169.254.169.254/latest"}, "redirects"),
    ({}, 404, {}, "404"),
    ({"error": "temporarily_unavailable"}, 400, {}, "cannot give a token now"),
    ({}, 500, {}, "cannot give a token now|fails"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "headers", "said"), HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_a_token_url_answers_is_understood_or_told_in_words(
    system: System, answer: Any, status: int, headers: dict[str, str], said: str | None
) -> None:
    system.records = [record(1)]
    with clerk(answer, status=status, headers=headers) as desk:
        given = {"plain_http": True, "token_url": f"{desk.url}/token", "client_id": "c", "client_secret": SECRET}
        made = parts(Credential("acme", "there", "oauth2", system.url, given), attempts=2)
        if said is None:
            assert (await move(made, plan(flow()))).counts.created == 1
            assert {one.get("Authorization") for one in system.headers_seen} == {"Bearer good"}
            assert desk.calls == 1
            return
        with pytest.raises(RunError, match=said) as refused:
            await move(made, plan(flow()))
        assert "secret-in" not in str(refused.value)
        assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_processes_rotate_one_refresh_token_without_killing_its_family(
    kind: str, tmp_path: Path, oidc: Oidc, postgres_url: str
) -> None:
    """Using an old refresh token once would end the whole family, so this also proves that none was."""
    first = oidc.sign_in("person", username="ürsula", password=SECRET, scope="read")
    url = f"sqlite:///{tmp_path / 'journal.db'}" if kind == "sqlite" else postgres_url
    upgrade(url)
    fields = {"plain_http": True, "token_url": f"{oidc.url}/token", "grant": "refresh_token", "client_id": "person", "client_secret": SECRET, "client_auth": "post"}  # fmt: skip
    spec = {"journal": url, "base_url": oidc.url, "fields": {**fields, "refresh_token": first["refresh_token"]}, "times": 8}
    running = [refresh_process.start(tmp_path, spec) for _ in range(2)]
    told = [refresh_process.told(one) for one in running]
    every = [token for one in told for token in one]
    assert len(every) == 16
    assert len(set(every)) >= 8  # a process may find what the other one earned, and rotate no further
    assert oidc.is_active(told[0][-1])["active"] or oidc.is_active(told[1][-1])["active"]
    third = refresh_process.told(refresh_process.start(tmp_path, {**spec, "times": 1}))
    assert oidc.is_active(third[0])["active"]
    with open_engine(url).connect() as c:
        kept = " ".join(map(str, c.exec_driver_sql("SELECT content FROM integrator_tokens").scalars()))
    assert not any(token in kept for token in [*every, *third, first["refresh_token"]])


def renewed_by(system: System, oidc: Oidc, refresh_token: str) -> Credential:
    fields = {"grant": "refresh_token", "client_id": "person", "client_secret": SECRET, "client_auth": "post"}
    return credential(system, oidc, **fields, refresh_token=refresh_token)


async def test_a_refresh_token_serves_both_faces_until_it_is_revoked(
    system: System, oidc: Oidc, guard: Guard, tmp_path: Path
) -> None:
    given = oidc.sign_in("person", username="ürsula", password=SECRET, scope="read")
    there, tokens = renewed_by(system, oidc, given["refresh_token"]), tokens_in(tmp_path)
    made = with_tokens(parts(there), tokens)
    assert (await move(made, plan(flow()))).counts.created == 3

    def person() -> None:
        with SignedSession(make_ready(there, made.around()), NO_PROXIES) as session:
            assert session.get("/items").status_code == 200
            guard.revoked.update(guard.tokens)
            assert session.get("/items").status_code == 200  # by the refresh token that came with the first renewal

    await asyncio.to_thread(person)
    kept = tokens.take(token_key(there, made.hash_key), "somebody", None).token
    assert kept is not None
    assert kept.refresh not in (None, given["refresh_token"])
    await asyncio.to_thread(oidc.revoke, "person", str(kept.refresh))
    guard.revoked.update(guard.tokens)
    for _times in range(2):
        with pytest.raises(SignInAgainError, match=r"acme__there: .*sign in anew \(invalid_grant\)"):
            await move(made, plan(flow()))
    # A person gives another one; it counts, though the old one's tokens are still kept.
    again = oidc.sign_in("person", username="ürsula", password=SECRET, scope="read")
    made = with_tokens(parts(renewed_by(system, oidc, again["refresh_token"])), tokens)
    assert (await move(made, plan(flow()))).counts.read == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_assertion_is_signed_by_each_algorithm(algorithm: str, oidc: Oidc) -> None:
    curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}.get(algorithm)
    key: Any = ec.generate_private_key(curve()) if curve else load_pem_private_key(oidc.private_key.encode(), None)
    given = {
        "algorithm": algorithm, "key_id": "k9", "assertion_claims": '{"scope": ["a", "b"]}',
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }  # fmt: skip
    made = Assertion.of(given, {"iss": "us", "sub": "somebody", "aud": "https://there/token"})
    one, other = (jwt.decode(made.text(), key.public_key(), [algorithm], audience="https://there/token") for _ in range(2))
    assert one["jti"] != other["jti"]
    assert (one["iss"], one["sub"], one["scope"], one["exp"] - one["iat"]) == ("us", "somebody", ["a", "b"], 300)
    assert jwt.get_unverified_header(made.text())["kid"] == "k9"


async def test_a_base_url_of_the_token_answer_is_used_within_the_declared_domains(system: System) -> None:
    system.records = [record(1)]
    with clerk({"access_token": "good", "instance_url": system.url}) as desk:
        given = {
            "plain_http": True,
            "token_url": "/token",
            "client_id": "c",
            "client_secret": SECRET,
            "base_url_from": "instance_url",
        }
        allowed = Credential("acme", "there", "oauth2", desk.url, {**given, "base_url_suffixes": "127.0.0.1"})
        assert (await move(parts(allowed), plan(flow()))).counts.created == 1
        with SignedSession(make_ready(allowed, parts().around()), NO_PROXIES) as session:
            assert session.get("/items").json()["items"]
        with pytest.raises(EgressRefusedError, match="outside its own host"):
            await move(parts(Credential("acme", "there", "oauth2", desk.url, given)), plan(flow()))
        for hostile in ("http://169.254.169.254/", "https://127.0.0.1.evil.example", "http://[::ffff:10.0.0.1]/", "https://u:p@127.0.0.1/", "file:///etc/passwd", "http://2130706433/", "javascript:x"):  # fmt: skip
            desk.answer = {"access_token": "good", "instance_url": hostile}
            with pytest.raises(EgressRefusedError):
                await move(parts(allowed), plan(flow()))


async def test_a_worker_that_died_while_signing_in_holds_nobody_up(
    system: System, oidc: Oidc, guard: Guard, tmp_path: Path
) -> None:
    tokens, there = tokens_in(tmp_path), credential(system, oidc, **fields_of("basic", oidc))
    made = with_tokens(parts(there), tokens)
    key = token_key(there, made.hash_key)
    host = new_owner().rsplit(":", 3)[0]
    assert tokens.take(key, f"{host}:999999999:1:x", None).mine
    began = time.monotonic()
    assert (await move(made, plan(flow()))).counts.created == 3
    assert time.monotonic() - began < 5


async def test_a_key_that_does_not_fit_is_told_with_its_cure(system: System, oidc: Oidc, guard: Guard, tmp_path: Path) -> None:
    there = credential(system, oidc, **fields_of("basic", oidc))
    await move(with_tokens(parts(there), tokens_in(tmp_path)), plan(flow()))
    other = SqlTokens(open_engine(f"sqlite:///{tmp_path / 'tokens.db'}"), Sealer("y" * 43 + "="))
    with pytest.raises(ConfigError, match="another Fernet key; put that key"):
        await move(with_tokens(parts(there), other), plan(flow()))
    both = Sealer(f"{'y' * 43}=,{FERNET}")
    turned = SqlTokens(open_engine(f"sqlite:///{tmp_path / 'tokens.db'}"), both)
    assert (turned.rotate(), turned.rotate()) == (1, 1)
    assert (await move(with_tokens(parts(there), other), plan(flow()))).counts.read == 3
    assert len(guard.tokens) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"token_url": "https://x.example/t"}, "client_id is needed"), ({"client_id": "c", "client_auth": "post"}, "needs client_id and client_secret"), ({"grant": "passwort"}, "grant is one of"),
        ({"client_id": "c", "client_auth": "private_key_jwt"}, "private_key is needed"), ({"client_id": "c", "client_auth": "private_key_jwt", "private_key": "nope"}, "not in PEM form"),
        ({"client_id": "c", "authorize_params": "redirect_uri=https://evil.example/"}, "authorize_params: redirect_uri is not"), ({"client_id": "c", "authorize_params": {"code_challenge": "x"}}, "code_challenge is not"),
        ({"client_id": "c", "authorize_url": "--gpu-launcher=sh"}, "authorize_url is a URL"), ({"client_id": "c", "authorize_url": "file:///etc/passwd"}, "authorize_url is a URL"), ({"client_id": "c", "authorize_url": "http://x.example/a"}, "authorize_url is http"),
        ({"client_id": "c", "token_params": "x"}, "token_params holds parameters"), ({"client_id": "c", "token_url": "http://x.example/t"}, r"http sends secrets in clear \(to x.example\)"),
        ({"client_id": "c", "token_url": "token"}, "token_url is a URL, .*or a path"), ({"client_id": "c", "grant": "authorization_code", "authorize_url": "/auth"}, "authorize_url is a URL"),
        ({"client_id": "c", "header": "a b"}, "header is not a header's name"),
        ({"client_id": "c", "token_url": "http://169.254.169.254/t"}, "http sends secrets|link-local"), ({"client_id": "c", "lasts_s": "soon"}, "lasts_s is a number"),
        ({"client_id": "c", "base_url_suffixes": "com"}, "base_url_suffixes holds domains"), ({"client_id": "c", "header": "X\nY"}, "not a header's name"), ({"client_id": "c", "assertion_claims": "[]", "client_auth": "private_key_jwt", "private_key": "KEY"}, "assertion_claims"),
    ],
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(oidc: Oidc, fields: dict[str, Any], said: str) -> None:
    given = {"token_url": "https://login.example.com/token", **fields}
    if given.get("private_key") == "KEY":
        given["private_key"] = oidc.private_key
    with pytest.raises(ConfigError, match=said):
        make_ready(Credential("acme", "there", "oauth2", "https://api.example.com", given), parts().around())


def test_tokens_show_nothing() -> None:
    token = Token("very-secret", 0.0, None, "refresh-secret", more={"x": "other-secret"})
    assert "secret" not in repr(token)
    assert token.secrets() == ["very-secret", "refresh-secret", "other-secret"]
    assert msgspec.json.decode(msgspec.json.encode(token), type=Token) == token


async def test_a_renewal_that_is_under_way_when_its_run_is_cancelled_is_kept(system: System, tmp_path: Path) -> None:
    kept = tokens_in(tmp_path)
    with clerk({"access_token": "a2", "refresh_token": "r2"}) as desk:
        desk.latency_s = 0.4
        given = {"plain_http": True, "token_url": f"{desk.url}/token", "grant": "refresh_token", "refresh_token": "r1"}
        there = Credential("acme", "there", "oauth2", system.url, given)
        ready = make_ready(there, with_tokens(parts(there), kept).around())
        signing = asyncio.create_task(ready.signer.sign(Request("GET", system.url, {})))
        while not desk.calls:
            await asyncio.sleep(0.01)
        signing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await signing
        await ready.signer.close()
        turn = kept.take(token_key(there, parts().hash_key), "next", None)
        assert turn.token is not None
        assert (turn.token.value, turn.token.refresh) == ("a2", "r2")


async def test_a_token_is_kept_by_a_database_that_was_away_for_a_moment(system: System) -> None:
    class Away(MemoryTokens):
        times = 2

        def keep(self, *arguments: Any) -> None:
            self.times -= 1
            if self.times >= 0:
                raise UnavailableError("the database is away")
            super().keep(*arguments)

    kept = Away(lasting=True)
    with clerk({"access_token": "a2", "refresh_token": "r2"}) as desk:
        given = {"plain_http": True, "token_url": f"{desk.url}/token", "grant": "refresh_token", "refresh_token": "r1"}
        there = Credential("acme", "there", "oauth2", system.url, given)
        ready = make_ready(there, with_tokens(parts(there), kept).around())
        await ready.signer.sign(Request("GET", system.url, {}))
        await ready.signer.close()
        assert desk.calls == 1
        assert kept.take(token_key(there, parts().hash_key), "next", None).token.refresh == "r2"  # type: ignore[union-attr]


async def test_a_sign_in_that_takes_longer_than_its_lease_stays_the_only_one(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("auth.earning", "store.memory_tokens"):
        monkeypatch.setattr(f"integrator.{module}.LEASE_S", 1.0)
    with clerk({"access_token": "a"}) as desk:
        desk.latency_s = 1.6
        there = Credential("acme", "there", "oauth2", system.url, {"plain_http": True, "token_url": desk.url, "client_id": "c"})
        made = parts(there)
        both = [make_ready(there, made.around()) for _worker in range(2)]
        await asyncio.gather(*(one.signer.sign(Request("GET", system.url, {})) for one in both))
        assert desk.calls == 1
        for one in both:
            await one.signer.close()


def test_no_redirect_makes_another_host_of_a_captured_one(system: System) -> None:
    """Below `http://desk/v1` a link to `/v1@evil/` is the desk's own; put behind a captured `http://shop` it would lead to `evil`."""
    with clerk({"access_token": "good", "instance_url": system.url}) as desk, clerk({}) as evil:
        elsewhere = f"{desk.url}/v1@{evil.url.removeprefix('http://')}/steal"
        system.on_read = lambda _request: web.Response(status=302, headers={"Location": elsewhere})
        given = {"plain_http": True, "token_url": f"{desk.url}/token", "base_url_from": "instance_url", "client_id": "c"}
        there = Credential("acme", "there", "oauth2", f"{desk.url}/v1", {**given, "base_url_suffixes": "127.0.0.1"})
        ready = make_ready(there, parts().around())
        with SignedSession(ready, NO_PROXIES) as session:
            session.get("/items")
        assert not evil.calls
        for rest in ("", "/items?a=b", "?a=b"):
            assert ready.egress.moved(f"{desk.url}/v1{rest}") == f"{system.url}{rest}"
        for rest in (".evil.example/steal", ":9/steal", "5/steal"):
            assert ready.egress.moved(f"{desk.url}/v1{rest}") == f"{desk.url}/v1{rest}"


async def test_a_stranger_s_answer_neither_ends_a_sign_in_nor_begins_one(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any page that is open in the person's browser can call the callback; only the answer to this sign-in counts."""
    told: list[int] = []

    def opened(url: str) -> None:
        asked = dict(parse_qsl(urlsplit(url).query))
        told.extend(
            requests.get(asked["redirect_uri"], params=one, timeout=5).status_code
            for one in (
                {"state": "x", "code": "stranger"}, {"state": "x", "error": "access_denied"}, {"code": "stranger"}, {"oauth_token": "x"},
                {"state": asked["state"], "code": "good"},
            )
        )  # fmt: skip

    monkeypatch.setattr("webbrowser.open", opened)
    with clerk({"access_token": "a", "refresh_token": "r"}) as desk:
        given = {
            "plain_http": True,
            "grant": "authorization_code",
            "client_id": "c",
            "token_url": desk.url,
            "authorize_url": desk.url,
        }
        there = Credential("acme", "there", "oauth2", system.url, given)
        await authorize_credential(there, with_tokens(parts(there), tokens_in(tmp_path)).around(), Browser(wait_s=10))
        assert told == [400, 400, 400, 400, 200]
        assert [form["code"] for form in desk.forms] == ["good"]


def test_what_was_given_for_one_user_renews_nothing_for_another(oidc: Oidc) -> None:
    given = {"grant": "jwt_bearer", "private_key": oidc.private_key, "token_url": "/t", "assertion_subject": "alice"}
    one, other = (
        token_key(Credential("acme", "there", "oauth2", "https://h.example", {**given, "assertion_subject": name}), b"k")
        for name in ("alice", "bob")
    )
    assert one.bound != other.bound


async def test_a_scope_that_a_refresh_token_does_not_reach_is_earned_anew(system: System) -> None:
    with clerk({"access_token": "a", "refresh_token": "r"}) as desk:
        given = {"plain_http": True, "token_url": desk.url, "grant": "password", "username": "u", "password": SECRET}
        kept = MemoryTokens()
        for scope in ("read", "read write"):
            there = Credential("acme", "there", "oauth2", system.url, {**given, "scope": scope})
            ready = make_ready(there, with_tokens(parts(there), kept).around())
            desk.on_form = lambda form: {"error": "invalid_scope"} if "refresh_token" in form else None
            await ready.signer.sign(Request("GET", system.url, {}))
            await ready.signer.close()
        assert [form["grant_type"] for form in desk.forms] == ["password", "refresh_token", "password"]


async def test_an_answer_that_base_url_from_cannot_read_is_a_refusal(system: System) -> None:
    with clerk({"access_token": "a", "url": {"not": "a text"}}) as desk:
        given = {"plain_http": True, "token_url": desk.url, "client_id": "c", "base_url_from": "lower(url)"}
        with pytest.raises(SignInAgainError, match="no base URL where base_url_from says"):
            await move(parts(Credential("acme", "there", "oauth2", system.url, given)), plan(flow()))


def test_a_stream_that_was_read_is_not_sent_again_empty() -> None:
    with clerk({"access_token": "a"}) as desk, clerk({}, status=401) as shop:
        given = {"plain_http": True, "token_url": f"{desk.url}/token", "client_id": "c"}
        there = Credential("acme", "there", "oauth2", shop.url, given)
        with SignedSession(make_ready(there, parts().around()), NO_PROXIES) as session:
            assert session.post("/orders", data=iter([b"an ", b"order"])).status_code == 401
            assert shop.calls == 1
            assert session.post("/orders", data=b"an order").status_code == 401
            assert shop.calls == 3


@pytest.mark.parametrize("grant", ["private_key_jwt", "jwt_bearer", "basic", "password"])
async def test_logs_can_mask_whatever_a_sign_in_sends_and_gets(system: System, oidc: Oidc, guard: Guard, grant: str) -> None:
    from dataclasses import replace

    known: list[str] = []
    made = replace(parts(credential(system, oidc, **fields_of(grant, oidc))), on_secret=known.append)
    await move(made, plan(flow()))
    [token] = guard.tokens
    assert token in known
    jwts = [one for one in known if one.count(".") == 2 and one.startswith("ey")]
    assert bool(jwts) is (grant in ("private_key_jwt", "jwt_bearer"))
    derived = make_ready(credential(system, oidc, **fields_of(grant, oidc)), parts().around()).scheme.derived()  # type: ignore[attr-defined]
    if grant in ("basic", "password"):
        assert "s3cret-%2B%26%3D%25-of-the-client" in derived
