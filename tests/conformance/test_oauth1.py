"""OAuth 1.0: the RFC's own vectors, oauthlib's server, and two that share no code with ours. Source: RFC 5849."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import ssl
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from oauthlib.common import Request as ServersRequest
from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint
from oauthlib.oauth1.rfc5849 import signature

from integrator.auth import oauth1_signing
from integrator.auth.none import NoneScheme
from integrator.auth.oauth1 import METHODS, OAuth1Scheme, ThreeLeggedOAuth1
from integrator.auth.oauth1_signing import base_string, normalized
from integrator.auth.presenting import caller, make_ready, token_key
from integrator.auth.scheme import scheme_of, secrets_of
from integrator.auth.signers import PlainSigner
from integrator.commands.authorizing import Browser, authorize_credential
from integrator.errors import ConfigError, SignInAgainError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.store.memory_tokens import MemoryTokens
from integrator.wire.message import Answer, Meter, Request
from integrator.wire.proxies import NO_PROXIES
from integrator.wire.sending import Sender
from integrator.wire.throttle import Throttle
from tests.services.demo import free_port
from tests.services.moving import QUICK, flow, move, parts, plan
from tests.services.oauth1_php import running_php
from tests.services.programs import needed
from tests.services.system import System, record

KEY, SECRET = "consumer+&=% ü", "s3cret-ü+&=% :x"
TOKEN, TOKEN_SECRET = "token-/+&=~*'()", "t0ken secret %26&+ü"
KEYS = {"consumer_key": KEY, "consumer_secret": SECRET}
TWO = {**KEYS, "token": TOKEN, "token_secret": TOKEN_SECRET}
FORM = "application/x-www-form-urlencoded"


@cache
def rsa_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def fields(method: str, **more: Any) -> dict[str, Any]:
    """Return a credential's fields for a method, with a token."""
    if not method.startswith("RSA"):
        return {**TWO, "signature_method": method, **more}
    return {"consumer_key": KEY, "token": TOKEN, "private_key": rsa_pair()[0], "signature_method": method, **more}


def credential(url: str, **extra: Any) -> Credential:
    return Credential("acme", "there", "oauth1", url, {"plain_http": True, **extra})


def session_for(one: Credential) -> SignedSession:
    return SignedSession(make_ready(one, parts().around()), NO_PROXIES)


# -- the RFC's own vectors


def test_base_string_of_section_3_4_1_1() -> None:
    request = Request(
        "post", "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", {"Content-Type": FORM}, b"c2&a3=2+q"
    )
    protocol = [
        ("oauth_consumer_key", "9djdj82h48djs9d2"), ("oauth_token", "kkk9d7dh3k39sjv7"), ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"), ("oauth_nonce", "7d8f3e4a"),
    ]  # fmt: skip
    assert base_string(request, protocol) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26"
        "oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


def test_signatures_of_section_1_2(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(oauth1_signing.secrets, "token_hex", lambda _n: kept["nonce"])
    monkeypatch.setattr(oauth1_signing.time, "time", lambda: float(kept["time"]))
    photos = "http://photos.example.net/photos?file=vacation.jpg&size=original"
    given_ = {
        "consumer_key": "dpf43f3p2l4k3l03",
        "consumer_secret": "kd94hf93k423kf44",
        "signature_method": "HMAC-SHA1",
        "include_version": False,
    }
    kept.update(nonce="chapoH", time="137131202")
    scheme = OAuth1Scheme.of({**given_, "token": "nnch734d00sl2jdk", "token_secret": "pfkkdhi9sl3r4s00", "realm": "Photos"})
    header = scheme.sign(Request("GET", photos, {})).headers["Authorization"]
    assert 'oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D"' in header
    assert header.startswith('OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03"')
    assert "oauth_version" not in header
    kept.update(nonce="wIjqoS", time="137131200")
    signing = OAuth1Scheme.of(given_).signing
    asked = signing.signed(
        Request("POST", "https://photos.example.net/initiate", {}), [("oauth_callback", "http://printer.example.com/ready")]
    )
    assert 'oauth_signature="74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D"' in asked.headers["Authorization"]
    kept.update(nonce="walatlh", time="137131201")
    asked = signing.for_token("hh5s93j4hdidpola", "hdhd0244k9j7ao03").signed(
        Request("POST", "https://photos.example.net/token", {}), [("oauth_verifier", "hfdp7dh39dks9884")]
    )
    assert 'oauth_signature="gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D"' in asked.headers["Authorization"]


# -- parameters, as oauthlib's server side reads them

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_parameters_are_put_in_the_order_in_which_the_server_puts_them(pairs: list[tuple[str, str]]) -> None:
    assert normalized(pairs) == signature.normalize_parameters(pairs)


@given(
    query=st.lists(st.tuples(texts, texts), max_size=4), form=st.lists(st.tuples(texts, texts), min_size=1, max_size=4),
    plus=st.booleans(), path=st.sampled_from(["", "/", "/a%20b/ü", "/a;b=1/c", "/%2F", "/a//b/../c"]),
    host=st.sampled_from(["http://h:80", "https://H.example:443", "https://h:80", "http://[::1]:8080", "http://127.0.0.1:9"]),
)  # fmt: skip
def test_the_base_string_is_the_one_that_the_server_makes(
    query: list[tuple[str, str]], form: list[tuple[str, str]], plus: bool, path: str, host: str
) -> None:
    def encoded(pairs: list[tuple[str, str]]) -> str:
        made = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
        return made.replace("%20", "+") if plus else made

    url = f"{host}{path}?{encoded(query)}"
    request = Request("PUT", url, {"Content-Type": f"{FORM}; charset=utf-8"}, encoded(form).encode())
    protocol = [("oauth_nonce", "n"), ("oauth_token", TOKEN)]
    server = ServersRequest(url, "PUT", encoded(form), {"Content-Type": FORM})
    collected = signature.collect_parameters(urlsplit(server.uri).query, server.body, {})
    expected = signature.signature_base_string(
        "PUT", signature.base_string_uri(url), signature.normalize_parameters([*collected, *protocol])
    )
    assert base_string(request, protocol) == expected


def test_bytes_that_are_no_utf_8_are_signed_as_they_are() -> None:
    made = base_string(Request("POST", "http://h/?a=%E4", {"Content-Type": FORM}, b"b=\xff"), [])
    assert made == "POST&http%3A%2F%2Fh%2F&a%3D%25E4%26b%3D%25FF"


# -- oauthlib's server


class Validator(RequestValidator):
    """Knows one client and one token, and takes each nonce once."""

    enforce_ssl = False
    dummy_client = "dummy"
    safe_characters = {chr(n) for n in range(32, 0x110000)}  # noqa: RUF012
    client_key_length = access_token_length = (1, 99)

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[Any, ...]] = set()
        self.tokens = {TOKEN: TOKEN_SECRET}

    def check_client_key(self, client_key: str) -> bool:
        return True

    check_access_token = check_client_key

    def validate_timestamp_and_nonce(self, client_key: str, timestamp: str, nonce: str, request: Any, **_: Any) -> bool:
        one = (client_key, timestamp, nonce)
        fresh = one not in self.seen and abs(time.time() - int(timestamp)) < 60
        self.seen.add(one)
        return fresh

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == KEY

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return SECRET

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.tokens.get(token, "none")

    def get_rsa_key(self, client_key: str, request: Any) -> str:
        return rsa_pair()[1]


class Guarded(System):
    """Lets oauthlib check every call, and plays everything back once, which must be refused."""

    def __init__(self) -> None:
        super().__init__()
        self.validator = Validator()
        self.refused = 0
        self.callback = "https://ours.example/back?a=b"

    def application(self) -> web.Application:
        app = super().application()

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            body = await request.read()
            if not self.verify(request, body):
                self.refused += 1
                return web.Response(status=401)
            assert not self.verify(request, body)
            given_ = dict(
                re.findall(r'(oauth_\w+)="?([^"&]*)', request.headers.get("Authorization", "") or body.decode("latin-1"))
            )
            if request.path == "/initiate":
                assert unquote(given_["oauth_callback"]) == self.callback
                self.validator.tokens["temp&"] = "temp secret"
                return web.Response(text="oauth_token=temp%26&oauth_token_secret=temp+secret&oauth_callback_confirmed=true")
            if request.path == "/token":
                if given_.get("oauth_verifier") != "verifier%2B1" or given_["oauth_token"] != "temp%26":
                    return web.Response(status=401, text="oauth_problem=verifier_invalid")
                self.validator.tokens = {TOKEN: TOKEN_SECRET}
                return web.Response(text=f"oauth_token={quote(TOKEN, safe='')}&oauth_token_secret={quote(TOKEN_SECRET, safe='')}")
            return await handler(request)

        app.middlewares.append(guard)
        return app

    def verify(self, request: web.Request, body: bytes) -> bool:
        is_form = request.content_type == FORM
        headers = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
        if is_form:
            headers["Content-Type"] = FORM
        endpoint = SignatureOnlyEndpoint(self.validator)
        holds, found = endpoint.validate_request(
            f"{self.url}{request.raw_path}", request.method, body.decode() if is_form else None, headers
        )
        told = dict(found.oauth_params) if found else {}
        holds = holds and (not found.resource_owner_key or found.resource_owner_key in self.validator.tokens)
        if holds and "oauth_body_hash" in told:
            name = told["oauth_signature_method"].rpartition("-")[2]
            assert b64decode(told["oauth_body_hash"]) == hashlib.new(name, body).digest()
            self.calls["body hashes"] += 1
        return bool(holds)


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    made.records = [record(n) for n in range(250)]
    made.start()
    yield made
    made.stop()


KINDS = [
    *(fields(method) for method in METHODS if method != "PLAINTEXT"),
    fields("HMAC-SHA256", place="query"), fields("RSA-SHA256", place="query", body_hash=True), fields("HMAC-SHA1", place="body"),
    fields("HMAC-SHA512", body_hash="true", realm="TSTDRV1_SB2"), fields("HMAC-SHA1", body_hash=True, include_version="false"),
    {**KEYS, "include_version": False}, {**KEYS, "place": "query"},
]  # fmt: skip


@pytest.mark.parametrize(
    "given_",
    KINDS,
    ids=lambda f: "-".join(str(f[n]) for n in ("signature_method", "place", "body_hash") if n in f) or "one-legged",
)
async def test_oauthlib_s_server_takes_both_faces_and_no_call_twice(guarded: Guarded, given_: dict[str, Any]) -> None:
    report = await move(parts(credential(guarded.url, **given_)), plan(flow()))
    assert report.counts.created == 250
    assert guarded.refused == 0
    assert len(guarded.validator.seen) >= 253  # each call its own nonce
    assert not given_.get("body_hash") or guarded.calls["body hashes"] >= 253

    def person() -> None:
        with session_for(credential(guarded.url, **given_)) as session:
            assert session.get("/items", params=[("a", "1"), ("a", "ü+ &"), ("b", ""), ("c[]", "x|y")]).status_code == 200
            assert session.get(f"{guarded.url}/items?flag&a=%7e&b=a+b#part").status_code == 200
            assert session.post("/nothing?x=1", data={"a": "ü&=+ %", "b": ["2", "1"], "c": ""}).status_code == 404
            assert (
                session.post("/nothing", data="c2&a3=2+q", headers={"Content-Type": f"{FORM}; charset=UTF-8"}).status_code == 404
            )
            assert session.post("/nothing").status_code == 404
            assert (
                session.put("/nothing", data=bytes(range(256)), headers={"Content-Type": "application/octet-stream"}).status_code
                == 404
            )
            assert session.post("/nothing", json={"not": "a=form&oauth_token=x"}).status_code == 404

    await asyncio.to_thread(person)


@pytest.mark.parametrize(
    "wrong",
    [
        {"consumer_secret": "wrong"},
        {"token_secret": "wrong"},
        {"token": "wrong"},
        {"consumer_key": "wrong"},
        {"signature_method": "RSA-SHA256"},
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused(guarded: Guarded, wrong: dict[str, Any]) -> None:
    if "signature_method" in wrong:
        other = rsa.generate_private_key(65537, 2048)
        pem = other.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        wrong = {**wrong, "private_key": pem.decode().replace("\n", "\\n")}
    with pytest.raises(SignInAgainError) as refused:
        await move(parts(credential(guarded.url, **{**TWO, **wrong})), plan(flow()))
    assert "wrong" not in str(refused.value)


def test_what_an_earlier_signature_left_in_a_link_is_not_signed_again(guarded: Guarded) -> None:
    # WooCommerce's links to the next page repeat the whole query of the page before.
    with session_for(credential(guarded.url, **TWO, place="query")) as session:
        first = session.get("/items?by=link&per_page=100")
        following = first.links["next"]["url"]
        assert "oauth_signature" in following
        second = session.get(following)
    assert [one["id"] for one in second.json()["items"]] == [f"r{n}" for n in range(100, 200)]


@pytest.mark.parametrize("place", ["header", "query"])
async def test_pages_that_are_linked_are_signed_anew(guarded: Guarded, place: str) -> None:
    paged = {"pages": {"by": "link_header", "per_page": 100}, "params": {"by": "link"}}
    assert (await move(parts(credential(guarded.url, **TWO, place=place)), plan(flow(source=paged)))).counts.created == 250
    assert guarded.refused == 0


# -- servers that share no code with ours


@pytest.mark.parametrize("legs", [2, 1])
@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
async def test_php_takes_both_faces(system: System, method: str, legs: int) -> None:
    given_ = {
        "consumer_key": "key",
        "consumer_secret": SECRET,
        **({"token": TOKEN, "token_secret": TOKEN_SECRET} if legs == 2 else {}),
    }
    with running_php("key", SECRET, given_.get("token", ""), given_.get("token_secret", "")) as url:
        made = parts(credential(url, **given_, signature_method=method), system.credential("shop"))
        assert (await move(made, plan(flow(source={"by_id": None}, destination={"credential": "shop"})))).counts.created == 3

        def person() -> None:
            for place in ("header", "query", "body"):
                with session_for(credential(url, **given_, signature_method=method, place=place)) as session:
                    form = {"text": "ü+&=% x~*'()", "empty": ""}
                    answer = session.post("/x?q=%C3%BC+a%2B", data=form)
                    assert (answer.status_code, {k: v for k, v in answer.json()["form"].items() if "oauth_" not in k}) == (
                        200,
                        form,
                    )
                    assert session.get("/x", params={"a": "b c", "z": ""}).status_code == 200
            for wrong in ({"consumer_secret": "wrong"}, {"token": "x", "token_secret": "wrong"}):
                with session_for(credential(url, **{**given_, **wrong}, signature_method=method)) as session:
                    assert session.get("/x").status_code == 401

        await asyncio.to_thread(person)


def perl_takes(request: Request, **more: Any) -> bool:
    perl = needed("perl", "libnet-oauth-perl")
    body = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) if request.body else {}
    given_ = {
        "url": request.url.partition("?")[0], "method": request.method, "authorization": request.headers["Authorization"], "consumer_secret": SECRET,
        "token": TOKEN, "token_secret": TOKEN_SECRET, "params": {**dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)), **body}, **more,
    }  # fmt: skip
    script = Path(__file__).parents[1] / "services" / "oauth1_check.pl"
    ran = subprocess.run([perl, str(script)], input=json.dumps(given_).encode(), capture_output=True)
    assert ran.returncode in (0, 1), ran.stderr.decode()
    return ran.returncode == 0


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT"])
def test_perl_takes_it(method: str) -> None:
    scheme = OAuth1Scheme.of(fields(method, consumer_key="key+&=%"))  # it reads a header's ü as two signs
    request = Request("POST", "https://h.example:8443/a%20b/c?q=%C3%BC+x", {"Content-Type": FORM}, b"a=%2B%26&b=&c=1+2")
    more = {"public_key": rsa_pair()[1]} if method.startswith("RSA") else {}
    signed = scheme.sign(request)
    assert perl_takes(signed, **more)
    signed.headers["Authorization"] = re.sub('oauth_signature="(.*?)"', tampered, signed.headers["Authorization"])
    assert not perl_takes(signed, **more)


def tampered(found: re.Match[str]) -> str:
    """Return another signature of the same length: one that is too short is an error rather than a refusal."""
    signature = unquote(found[1])
    other = "B" if signature[0] != "B" else "C"
    return f'oauth_signature="{quote(other + signature[1:], safe="")}"'


# -- PLAINTEXT


def own_tls() -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    from ipaddress import ip_address

    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _loaded(
        context,
        pem,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    ), pem.decode()


def _loaded(context: ssl.SSLContext, *pems: bytes) -> ssl.SSLContext:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(pems))
        file.flush()
        context.load_cert_chain(file.name)
    return context


@pytest.mark.parametrize("place", ["header", "body"])
async def test_plaintext_goes_over_tls(place: str) -> None:
    system = Guarded()
    system.tls, certificate = own_tls()
    system.records = [record(n) for n in range(3)]
    system.start()
    try:
        one = credential(system.url, **fields("PLAINTEXT", place=place), ca_certificate=certificate)
        assert (await move(parts(one), plan(flow()))).counts.created == 3
    finally:
        system.stop()


async def test_plaintext_goes_over_nothing_else(guarded: Guarded) -> None:
    one = credential(guarded.url, **fields("PLAINTEXT"))
    with pytest.raises(ConfigError, match="needs https") as refused:
        await move(parts(one), plan(flow()))
    assert SECRET not in str(refused.value)
    with session_for(one) as session, pytest.raises(ConfigError, match="needs https"):
        session.get("/items")
    assert not guarded.calls


# -- faulty and hostile credentials


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"consumer_secret": ""}, "consumer_secret is missing"), ({"signature_method": "RSA-SHA1"}, "private_key is missing"), ({"signature_method": "HMAC-MD5"}, "signature_method is one of"),
        ({"place": "cookie"}, "place is one of"), ({"consumer_key": ""}, "consumer_key is empty"), ({"token": ""}, "token is missing"), ({"token_secret": None}, "token_secret is missing"),
        ({"realm": 'x", oauth_token="y'}, "realm holds plain ASCII"), ({"realm": "x\r\nX-Evil: 1"}, "line break"), ({"realm": "ü"}, "realm holds plain ASCII"),
        ({"signature_method": "PLAINTEXT", "place": "query"}, "access logs"), ({"signature_method": "PLAINTEXT", "body_hash": True}, "signs nothing"),
        ({"signature_method": "RSA-SHA1", "private_key": "-----BEGIN PRIVATE KEY-----\nxyz-secret\n-----END PRIVATE KEY-----"}, "not in PEM form"),
        ({"token": None, "token_secret": None, "authorize_url": "https://h/a"}, "request_token_url is missing"),
        ({"token": None, "token_secret": None, "request_token_url": "/r", "authorize_url": "https://h/a", "access_token_url": "https://h/t"}, "request_token_url is a whole URL"),
        ({"token": None, "token_secret": None, "plain_http": False, "request_token_url": "https://h/r", "authorize_url": "http://h/a", "access_token_url": "https://h/t"}, "authorize_url is http"),
    ],
    ids=str,
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        scheme_of(credential("https://h", **{**TWO, **changed}))
    assert not any(one in str(refused.value) for one in (SECRET, TOKEN_SECRET, "xyz-secret"))


def test_a_key_may_have_lost_its_line_breaks() -> None:
    squeezed = rsa_pair()[0].replace("\n", " ")
    assert scheme_of(credential("https://h", consumer_key="k", signature_method="RSA-SHA1", private_key=squeezed))


def test_keys_of_other_kinds_are_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for made, said in (
        (
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            "another kind than RSA",
        ),
        (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
            ),
            "encrypted",
        ),
    ):
        with pytest.raises(ConfigError, match=said):
            scheme_of(credential("https://h", consumer_key="k", signature_method="RSA-SHA1", private_key=made.decode()))


@given(texts.filter(bool), texts.filter(bool))
def test_no_token_breaks_out_of_the_header(key: str, token: str) -> None:
    scheme = OAuth1Scheme.of({"consumer_key": key, "consumer_secret": "s", "token": token, "token_secret": ""})
    header = scheme.sign(Request("GET", "https://h/x", {})).headers["Authorization"]
    assert header.isascii()
    assert header.isprintable()
    assert dict(re.findall(r'(\w+)="([^"]*)"', header))["oauth_token"] == quote(token, safe="")
    assert header.count('"') == 2 * 7


def test_secrets_and_their_encoded_forms_are_told_to_the_masker() -> None:
    one = credential("https://h", **TWO)
    told = secrets_of(one, scheme_of(one))
    encoded = [quote(value, safe="") for value in (SECRET, TOKEN_SECRET, TOKEN)]
    assert {SECRET, TOKEN, TOKEN_SECRET, *encoded, f"{encoded[0]}&{encoded[1]}"} <= set(told)
    assert repr(scheme_of(one)) == "OAuth1Scheme()"


def test_signing_by_rsa_parses_its_key_once() -> None:
    scheme = OAuth1Scheme.of(fields("RSA-SHA256"))
    request = Request("GET", "https://h/x?a=1&b=2", {})
    scheme.sign(request)
    spans = []
    for _ in range(50):
        begun = time.process_time()
        scheme.sign(request)
        spans.append(time.process_time() - begun)
    assert sorted(spans)[10] < 0.002  # 0.35 ms on a quiet machine; parsing alone takes 35 ms


# -- three-legged

LEGS = {
    "request_token_url": "https://h/initiate",
    "authorize_url": "https://h/authorize?x=1",
    "access_token_url": "https://h/token",
}


@pytest.mark.parametrize("method", ["HMAC-SHA256", "RSA-SHA256"])
@pytest.mark.parametrize("place", ["header", "body"])
async def test_a_person_consents_and_flows_run_until_the_token_is_taken_back(guarded: Guarded, method: str, place: str) -> None:
    given_ = {**fields(method, place=place), **{name: url.replace("https://h", guarded.url) for name, url in LEGS.items()}}
    given_ = {name: value for name, value in given_.items() if not name.startswith("token")}
    one = credential(guarded.url, **given_)
    tokens = MemoryTokens(lasting=True)
    made = replace(parts(one), tokens=tokens)
    with pytest.raises(SignInAgainError, match="run: integrator credential authorize"):
        await move(made, plan(flow()))
    guarded.validator.tokens.clear()

    ready = make_ready(one, made.around())
    scheme = ready.scheme
    assert isinstance(scheme, ThreeLeggedOAuth1)
    assert scheme.reaches() == (f"{guarded.url}/initiate", f"{guarded.url}/token")
    sender = Sender("there", ready.transport, PlainSigner(NoneScheme(), {}), Throttle(1, 1), Meter(), QUICK, signs_in=True)
    call = caller(sender, ready.egress, lambda _secret: None)
    token, secret, page = await scheme.temporary(call, "https://ours.example/back?a=b")
    assert (token, secret, page) == ("temp&", "temp secret", f"{guarded.url}/authorize?x=1&oauth_token=temp%26")
    with pytest.raises(SignInAgainError, match="gives no access token"):
        await scheme.exchange(call, token, secret, "wrong")
    earned = await scheme.exchange(call, token, secret, "verifier+1")
    await sender.close()
    assert (earned.value, earned.more["token_secret"]) == (TOKEN, TOKEN_SECRET)
    tokens.keep(token_key(one, made.around().hash_key()), "a person", earned)

    assert (await move(made, plan(flow()))).counts.created == 250
    assert await asyncio.to_thread(lambda: session_of(one, made).get("/items").status_code) == 200
    # Other settings around the same client: nobody need consent again.
    one = credential(guarded.url, **given_, realm="changed", headers_secret="X-More: 1")
    made = replace(parts(one), tokens=tokens)
    assert (await move(made, plan(flow()))).counts.created == 250
    guarded.validator.tokens.clear()
    with pytest.raises(SignInAgainError, match=r"takes the kept token no more.*run: integrator credential authorize"):
        await move(made, plan(flow()))
    calls = guarded.calls["GET items"]
    with pytest.raises(SignInAgainError, match=r"acme__there: .*run: integrator credential authorize"):
        await move(made, plan(flow()))
    assert guarded.calls["GET items"] - calls == 1  # the kept token is tried with a fresh signature, and not given up:
    guarded.validator.tokens = {TOKEN: TOKEN_SECRET}  # a clock that was wrong costs nobody's consent
    assert (await move(made, plan(flow()))).counts.created == 250


def session_of(one: Credential, made: Any) -> SignedSession:
    return SignedSession(make_ready(one, made.around()), NO_PROXIES)


@pytest.mark.parametrize("way", ["called back", "pasted", "code", "pasted, and no address"])
async def test_a_person_consents_by_the_command_line(guarded: Guarded, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    given_ = {**KEYS, **{name: url.replace("https://h", guarded.url) for name, url in LEGS.items()}}
    one = credential(guarded.url, **given_)
    made = replace(parts(one), tokens=MemoryTokens(lasting=True))
    port = free_port()
    came = f"http://127.0.0.1:{port}/callback?" + urlencode({"oauth_token": "temp&", "oauth_verifier": "verifier+1"})
    typed = {"pasted": came, "code": "verifier+1", "pasted, and no address": "verifier+1"}.get(way, "")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    monkeypatch.setattr("webbrowser.open", lambda _url: urlopen(came, timeout=10).read())
    redirect = "oob" if way == "code" else None
    guarded.callback = redirect or f"http://127.0.0.1:{port}/callback"
    asked = authorize_credential(one, made.around(), Browser(port, redirect, paste="pasted" in way))
    if "no address" in way:
        with pytest.raises(SignInAgainError, match="not the address at which the browser ends"):
            await asked
        return
    assert (await asked).value == TOKEN
    assert (await move(made, plan(flow()))).counts.created == 250


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"oauth_problem=secret-thing", r"does not let a consent begin \(401\)"), (200, b"<html>", "holds no oauth_token"),
        (200, b"oauth_token=a&oauth_token_secret=b", "before revision A"), (200, b"\xff\x00", "holds no oauth_token"), (200, b"", "holds no oauth_token"),
    ],
)  # fmt: skip
async def test_a_consent_that_does_not_begin_says_why(status: int, body: bytes, said: str) -> None:
    scheme = scheme_of(credential("https://h", **KEYS, **LEGS))

    async def call(_request: Request) -> Answer:
        return Answer(status, {}, body)

    with pytest.raises(SignInAgainError, match=said) as refused:
        await scheme.temporary(call, "oob")
    assert "secret-thing" not in str(refused.value)
    if status != 200:
        with pytest.raises(SignInAgainError, match="gives no access token"):
            await scheme.exchange(call, "t", "s", "v")


async def test_tokens_that_a_person_allowed_have_to_be_kept() -> None:
    made = parts(
        credential(
            "http://127.0.0.1:9", **KEYS, **{name: url.replace("https://h", "http://127.0.0.1:9") for name, url in LEGS.items()}
        )
    )
    with pytest.raises(ConfigError, match="AIRFLOW__CORE__FERNET_KEY"):
        await move(made, plan(flow()))


def test_a_token_in_hand_needs_nobody_s_consent() -> None:
    assert not hasattr(scheme_of(credential("https://h", **TWO, **LEGS)), "earn")
    assert not hasattr(scheme_of(credential("https://h", **TWO)), "earn")
