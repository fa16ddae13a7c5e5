"""Digest: Apache's own check, a SHA-256 server, many requests at once, and servers that mean no good. Source: RFC 7616."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from integrator.auth.digest import DigestScheme
from integrator.auth.digest_challenge import challenges
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import scheme_of
from integrator.auth.trying import try_credential
from integrator.errors import ConfigError, SignInAgainError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.message import Answer, Request
from integrator.wire.proxies import NO_PROXIES
from tests.services.apache import REALM, USERS, Apache
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record

USER, PASSWORD = "ürsula", "s3cret-ü+&=% :x"
READ = {"path": "/items.json", "pages": {"by": "single"}, "by_id": None}


def credential(url: str, username: str = USER, password: str = PASSWORD, name: str = "there", **extra: Any) -> Credential:
    return Credential("acme", name, "digest", url, {"plain_http": True, "username": username, "password": password, **extra})


def session_for(one: Credential) -> SignedSession:
    return SignedSession(make_ready(one, parts().around()), NO_PROXIES)


# -- Apache


@pytest.mark.parametrize("user", USERS)
async def test_apache_takes_the_engine_s_calls(digest_apache: Apache, system: System, user: str) -> None:
    made = parts(credential(digest_apache.url, user, USERS[user]), system.credential("shop"))
    report = await move(made, plan(flow(source=READ, destination={"credential": "shop"})))
    assert report.counts.created == 2


@pytest.mark.parametrize("user", USERS)
def test_apache_takes_a_person_s_session(digest_apache: Apache, user: str) -> None:
    with session_for(credential(digest_apache.url, user, USERS[user])) as session:
        for query in ("", "?a=1&b=%C3%BC+x", "?q=%22x%22"):
            assert len(session.get(f"/items.json{query}").json()["items"]) == 2
        assert session.get("/items.json", params={"a b": "ü"}).status_code == 200
        assert session.get("/missing").status_code == 404


@pytest.mark.parametrize("when", ["403", "never"])
async def test_the_challenge_is_heeded_whatever_else_means_signed_out(digest_apache: Apache, system: System, when: str) -> None:
    made = parts(credential(digest_apache.url, signed_out_when=when), system.credential("shop"))
    assert (await move(made, plan(flow(source=READ, destination={"credential": "shop"})))).counts.created == 2


async def test_apache_refuses_a_wrong_password_after_two_calls(digest_apache: Apache, system: System) -> None:
    for wrong in (credential(digest_apache.url, password="wrong-password"), credential(digest_apache.url, username="nobody")):
        made = parts(wrong, system.credential("shop"))
        before = access(digest_apache)
        with pytest.raises(SignInAgainError) as refused:
            await move(made, plan(flow(source=READ, destination={"credential": "shop"})))
        assert "wrong-password" not in str(refused.value)
        assert access(digest_apache) - before == 1  # one answer to one challenge: a wrong password does not lock an account out
        with session_for(wrong) as session:
            assert session.get("/items.json").status_code == 401


def access(apache: Apache) -> int:
    return len(re.findall(r"AH01794|AH01790", apache.log.read_text("utf-8", "replace")))


def test_apache_s_nonce_that_ran_out_is_replaced_by_the_next(digest_apache: Apache) -> None:
    with session_for(credential(digest_apache.url)) as session:
        assert session.get("/items.json").status_code == 200
        time.sleep(2.2)
        assert session.get("/items.json").status_code == 200


def test_apache_takes_many_threads_at_once(digest_apache: Apache) -> None:
    with session_for(credential(digest_apache.url)) as session, ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: session.get(f"/items.json?n={n}").status_code, range(80)))
    assert made == [200] * 80


# -- a server that checks all that RFC 7616 knows, and each count once


class Verifier:
    """Written from RFC 7616 for tests; refuses a nonce count that comes twice."""

    def __init__(self, algorithm: str, qop: str = "auth", *, userhash: bool = False, charset: bool = True) -> None:
        self.algorithm, self.qop, self.userhash, self.charset = algorithm, qop, userhash, charset
        self.nonces: list[str] = []
        self.realm, self.opaque = "api@example.org", "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"
        self.counts: list[tuple[str, str]] = []
        self.cnonces: set[str] = set()
        self._lock = threading.Lock()

    def hash(self, value: str | bytes) -> str:
        name = self.algorithm.removesuffix("-sess").lower().replace("sha-512-256", "sha512_256").replace("-", "")
        return hashlib.new(name, value.encode() if isinstance(value, str) else value).hexdigest()

    def challenge(self) -> str:
        self.nonces.append(f"n0nce/+={len(self.nonces)}")
        made = f'Digest realm="{self.realm}", nonce="{self.nonces[-1]}", algorithm={self.algorithm}, opaque="{self.opaque}"'
        if self.qop:
            made += f', qop="{self.qop}"'
        return made + (", charset=UTF-8" if self.charset else "") + (", userhash=true" if self.userhash else "")

    def verify(self, method: str, target: str, header: str, body: bytes) -> bool:
        if not header.startswith("Digest "):
            return False
        given = parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))
        expected = {"username": self.hash(f"{USER}:{self.realm}") if self.userhash else USER}
        if not self.userhash and self.charset:
            expected = {"username*": "UTF-8''%C3%BCrsula"}
        expected |= {"realm": self.realm, "opaque": self.opaque, "uri": target}
        assert {name: given.get(name) for name in expected} == expected
        nonce = given["nonce"]
        assert nonce in self.nonces
        key = self.hash(f"{USER}:{self.realm}:{PASSWORD}")
        if self.algorithm.endswith("-sess"):
            key = self.hash(f"{key}:{nonce}:{given['cnonce']}")
        asked = f"{method}:{target}" + (f":{self.hash(body)}" if self.qop == "auth-int" else "")
        if not self.qop:
            return given["response"] == self.hash(f"{key}:{nonce}:{self.hash(asked)}")
        with self._lock:
            assert (nonce, given["nc"]) not in self.counts
            self.counts.append((nonce, given["nc"]))
            self.cnonces.add(given["cnonce"])
        proof = f"{key}:{nonce}:{given['nc']}:{given['cnonce']}:{self.qop}:{self.hash(asked)}"
        return given["qop"] == self.qop and given["response"] == self.hash(proof)

    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        # what stands raw in the header is UTF-8
        header = request.headers.get("Authorization", "")
        if self.verify(request.method, request.raw_path, header, await request.read()):
            return await handler(request)
        return web.Response(status=401, headers={"WWW-Authenticate": self.challenge()})


class Guarded(System):
    verifier: Verifier

    def application(self) -> web.Application:
        app = super().application()

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            return await self.verifier.guard(request, handler)

        app.middlewares.append(guard)
        return app


@pytest.fixture
def guarded() -> Iterator[Callable[[Verifier], Guarded]]:
    made = Guarded()
    made.records = [record(n) for n in range(250)]

    def start(verifier: Verifier) -> Guarded:
        made.verifier = verifier
        return made.start()

    yield start
    made.stop()


KINDS = [
    Verifier("SHA-256"), Verifier("SHA-512-256", userhash=True), Verifier("SHA-256-sess"), Verifier("MD5"), Verifier("MD5-sess", charset=False),
    Verifier("SHA-256", "auth-int"), Verifier("MD5", ""), Verifier("MD5-sess", "auth-int"),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda v: f"{v.algorithm}-{v.qop or 'none'}{'-hash' if v.userhash else ''}")
async def test_both_faces_answer_every_kind_of_challenge(guarded: Callable[[Verifier], Guarded], kind: Verifier) -> None:
    system = guarded(kind)
    report = await move(parts(credential(system.url)), plan(flow()))
    assert report.counts.created == 250
    if kind.qop:
        assert len(kind.counts) == len(set(kind.counts)) >= 253

    def person() -> int:
        with session_for(credential(system.url)) as session:
            session.get("/items")
            return session.post("/orders?x=ü%20y", json={"ext": "ü"}).status_code

    assert await asyncio.to_thread(person) == 201
    assert not report.counts.failed


def test_counts_differ_over_threads_and_stay_with_one_cnonce() -> None:
    verifier, scheme = Verifier("SHA-256"), DigestScheme.of({"username": USER, "password": PASSWORD})
    request = Request("GET", "https://h/x", {})
    assert scheme.sign(request) is request
    assert scheme.heed(request, Answer(401, {"www-authenticate": verifier.challenge()}, b""))

    def signed(_n: int) -> bool:
        return verifier.verify("GET", "/x", scheme.sign(request).headers["Authorization"], b"")

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(signed, range(2000)))
    assert sorted(verifier.counts) == [(verifier.nonces[0], f"{n:08x}") for n in range(1, 2001)]
    assert len(verifier.cnonces) == 1


def test_rfc_7616_example() -> None:
    # Section 3.9.1, both algorithms; the cnonce is the example's.
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        scheme = DigestScheme.of({"username": "Mufasa", "password": "Circle of Life"})
        request = Request("GET", "http://www.example.org/dir/index.html", {})
        challenge = (
            f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        assert scheme.heed(request, Answer(401, {"WWW-Authenticate": challenge}, b""))
        scheme._answering._cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        assert f'response="{response}"' in scheme.sign(request).headers["Authorization"]


# -- which challenge is answered


def refused(scheme: DigestScheme, *values: str, request: Request | None = None) -> bool:
    headers = CIMultiDict([("WWW-Authenticate", value) for value in values])
    return scheme.heed(request or scheme.sign(Request("GET", "https://h/x", {})), Answer(401, headers, b""))


def new(**more: str) -> DigestScheme:
    return DigestScheme.of({"username": "u", "password": "password", **more})


def told(algorithm: str, nonce: str = "n", more: str = "") -> str:
    return f'Digest realm="r", nonce="{nonce}", qop="auth", algorithm={algorithm}{more}'


@pytest.mark.parametrize(
    "values",
    [
        [told("MD5"), told("SHA-256"), told("SHA-512-256"), "Basic realm=x"],
        [f'Negotiate, {told("SHA-512-256")}, NTLM TlRMTVNTUAAC==, {told("MD5")}, Basic realm="a, Digest b=\\"c"'],
        [f'Basic realm="x", {told("sha-512-256")}'],
    ],
)
def test_the_strongest_of_many_challenges_is_answered(values: list[str]) -> None:
    scheme = new()
    assert refused(scheme, *values)
    assert "algorithm=sha-512-256" in scheme.sign(Request("GET", "https://h/x", {})).headers["Authorization"].lower()


def test_a_wrong_password_does_not_loop() -> None:
    scheme = new()
    assert refused(scheme, told("SHA-256", "one"))
    assert not refused(scheme, told("SHA-256", "one"))
    assert refused(scheme, told("SHA-256", "one", ", stale=true"))
    assert refused(scheme, told("SHA-256", "two"))
    assert not refused(scheme, told("SHA-256", "two", ", stale=FALSE"))
    assert not refused(scheme, 'Basic realm="x"')
    assert not refused(scheme)


def test_a_server_that_has_offered_more_is_held_to_it() -> None:
    scheme = new()
    assert refused(scheme, told("MD5", "a"))
    assert refused(scheme, told("SHA-256", "b"), told("MD5", "b"))
    with pytest.raises(SignInAgainError, match="MD5 only"):
        refused(scheme, told("MD5", "c"))
    assert refused(scheme, told("SHA-512-256", "d"))
    with pytest.raises(SignInAgainError, match="MD5 only"):
        refused(new(weakest="SHA-256"), told("MD5"))


def test_a_faulty_credential_says_what_to_change() -> None:
    for extra, said in (
        ({"weakest": "SHA-1"}, "weakest is one of"),
        ({"username": "a\r\nX: y"}, "line break"),
        ({"username": ""}, "empty"),
    ):
        with pytest.raises(ConfigError, match=said):
            scheme_of(credential("https://h", **extra))


# -- servers that mean no good


HOSTILE = [
    "Digest", "Digest ", "Digest realm", "Digest realm=", 'Digest realm="', 'Digest realm="x', "Digest nonce=,,,,", ",,,,,", "=", '"', "\\", "Digest " * 5000,
    'Digest realm="a", nonce="b\r\nX-Injected: 1"', 'Digest realm="a\x00", nonce="b"', 'Digest realm="a", nonce="b", opaque="\x7f"', 'Digest realm="a", nonce=""',
    'Digest realm="r", nonce="n", algorithm="MD5, X"', 'Digest realm="r", nonce="n", algorithm=MD4', 'Digest realm="r", nonce="n", qop="evil"', 'Digest realm="r", nonce="n\udcff"',
    ", ".join(f'Digest realm="r{n}"' for n in range(9000)), 'a="' * 6000, "a=" * 8000, 'Digest realm="' + "\\" * 16000, "Digest " + "x=y, " * 5000, " " * 16000, "\t," * 8000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:30]))
def test_hostile_challenges_neither_crash_nor_inject_nor_take_time(value: str) -> None:
    begun = time.process_time()
    scheme = new()
    assert not refused(scheme, value)
    assert "Authorization" not in scheme.sign(Request("GET", "https://h/x", {})).headers
    assert time.process_time() - begun < 0.2


def test_what_a_challenge_holds_is_quoted() -> None:
    scheme = new()
    assert refused(scheme, r'Digest realm="a\", username=\"evil", nonce="b\\", qop=auth, realm="second"')
    header = scheme.sign(Request("GET", 'https://h/x?"', {})).headers["Authorization"]
    given_ = parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))
    assert given_["username"] == "u"
    assert r'realm="a\", username=\"evil", nonce="b\\"' in header
    assert r'uri="/x?\""' in header


def test_more_challenges_than_anybody_sends_are_not_read() -> None:
    many = [told("MD5", f"n{n}") for n in range(5000)]
    assert len(list(challenges(many))) < 300
    assert len(list(challenges([", ".join(many)]))) <= 64


@given(st.lists(st.text(max_size=300) | st.text('Digest realm="nonce,\\ =\r\n\x00ü', max_size=200), max_size=4))
def test_any_header_is_survived(values: list[str]) -> None:
    scheme = new()
    refused(scheme, *values)
    header = scheme.sign(Request("GET", "https://h/x", {})).headers.get("Authorization", "")
    assert not any(ord(sign) < 32 or ord(sign) == 127 for sign in header)


@given(realm=st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs", "Cc"]), max_size=40))
def test_any_realm_comes_back_as_it_came(realm: str) -> None:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    [as_utf8] = challenges([f'Digest realm="{quoted}", nonce="n"'])
    [as_latin] = challenges([f'Digest realm="{quoted}", nonce="n"'.encode().decode("latin-1")])
    assert as_latin.realm == realm
    assert as_utf8.realm in (realm, realm.encode("latin-1", "replace").decode("utf-8", "replace"))


def test_the_realm_of_apache_is_what_it_is(digest_apache: Apache) -> None:
    with session_for(credential(digest_apache.url)) as session:
        session.get("/items.json")
        assert session._ready.scheme._answering.challenge.realm == REALM


async def test_trying_a_credential_tells_a_right_password_from_a_wrong_one(digest_apache: Apache) -> None:
    right = await try_credential(credential(digest_apache.url, test_path="/items.json"), parts().around())
    assert right.ok
    assert "answers 200" in right.words
    wrong = await try_credential(credential(digest_apache.url, password="wrong-password"), parts().around())
    assert not wrong.ok
    assert "(401)" in wrong.words
