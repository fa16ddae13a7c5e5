"""A keyed hash of one's own make: exact in bytes, against verifiers written from the systems' own words; and nothing gets into a header."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from integrator.auth.hmac_signature import NAMES, HmacSignatureScheme
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import scheme_of, secrets_of
from integrator.errors import ConfigError, SignInAgainError, StopRunError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record

KEY = "shared-ü+&=% key"
BASE = {"key_secret": KEY, "message": "{method}{path}{body}", "headers": "X-Signature: {signature}"}


def credential(url: str, **given_: Any) -> Credential:
    return Credential("acme", "there", "hmac_signature", url, {"plain_http": True, **given_})


def session_for(one: Credential) -> SignedSession:
    return SignedSession(make_ready(one, parts().around()), NO_PROXIES)


def of_all_parts(request: web.Request, body: bytes) -> bool:
    """A made-up system that signs all there is; base64, SHA-256."""
    sent = request.headers
    path, _sign, query = request.raw_path.partition("?")
    body_hash = b64encode(hashlib.sha256(body).digest()).decode()
    text = "\n".join(
        [
            request.method,
            path,
            query,
            sent["Host"],
            f"http://{sent['Host']}{request.raw_path}",
            sent["X-Time"],
            sent["X-Nonce"],
            "key-1",
            body_hash,
            "",
        ]
    )
    expected = b64encode(hmac.new(KEY.encode(), text.encode() + body, "sha256").digest()).decode()
    assert abs(int(sent["X-Time"]) / 1000 - time.time()) < 30
    return hmac.compare_digest(sent["Authorization"], f"HMAC key-1:{expected}")


def of_body(request: web.Request, body: bytes) -> bool:
    """The way of webhooks and many shops: hex of the body alone."""
    return hmac.compare_digest(request.headers["X-Hub-Signature"], "sha1=" + hmac.new(KEY.encode(), body, "sha1").hexdigest())


def of_storage(request: web.Request, body: bytes) -> bool:
    """A key in base64, its signature in base64url, a date in ISO form."""
    sent = request.headers
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sent["Date"])
    text = f"{request.method} {request.raw_path.partition('?')[0]} {sent['Date']} {{x}}"
    return (
        sent["Authorization"]
        == f"Key={urlsafe_b64encode(hmac.new(bytes(range(64)), text.encode(), 'sha512').digest()).rstrip(b'=').decode()}"
    )


ALL = (
    of_all_parts,
    {
        "key_secret": KEY, "key_id": "key-1", "encoding": "base64", "timestamp_form": "epoch_ms",
        "message": r"{method}\n{path}\n{query}\n{host}\n{url}\n{timestamp}\n{nonce}\n{key_id}\n{body_hash}" + "\n{body}",
        "headers": "Authorization: HMAC {key_id}:{signature}\nX-Time: {timestamp}\nX-Nonce: {nonce}\n",
    },
)  # fmt: skip
KINDS: list[tuple[Callable[[web.Request, bytes], bool], dict[str, Any]]] = [
    ALL,
    (of_body, {"key_secret": KEY, "algorithm": "sha1", "message": "{body}", "headers": {"X-Hub-Signature": "sha1={signature}"}}),
    (
        of_storage,
        {
            "key_secret": b64encode(bytes(range(64))).decode(), "key_form": "base64", "algorithm": "sha512", "encoding": "base64url", "timestamp_form": "iso",
            "message": "{method} {path} {timestamp} {{x}}", "headers": r"Authorization: Key={signature}\nDate: {timestamp}",
        },
    ),
]  # fmt: skip


class Guarded(System):
    check: Callable[[web.Request, bytes], bool]

    def application(self) -> web.Application:
        app = super().application()

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            if not self.check(request, await request.read()):
                return web.Response(status=401)
            return await handler(request)

        app.middlewares.append(guard)
        return app


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    made.records = [record(n) for n in range(120)]
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(("check", "fields"), KINDS, ids=["all", "body", "storage"])
async def test_both_faces_are_taken(guarded: Guarded, check: Any, fields: dict[str, Any]) -> None:
    guarded.check = check
    assert (await move(parts(credential(guarded.url, **fields)), plan(flow()))).counts.created == 120
    with pytest.raises(SignInAgainError):
        await move(parts(credential(guarded.url, **{**fields, "key_secret": "d3JvbmcgaXM="})), plan(flow()))

    def person() -> None:
        with session_for(credential(guarded.url, **fields)) as session:
            assert session.get("/items", params=[("q", "ü+ &"), ("q", ""), ("[", "|")]).status_code == 200
            assert session.post("/nothing?a=b+c", data=bytes(range(256))).status_code == 404
            assert session.post("/nothing", data="text ü").status_code == 404
            assert session.post("/nothing", json={"a": "ü{method}"}).status_code == 404

    await asyncio.to_thread(person)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_every_byte_of_a_body_is_signed_and_no_brace_in_it_means_anything(body: bytes, key: str) -> None:
    key = (key.encode("utf-8", "ignore") or b"k").decode()
    scheme = HmacSignatureScheme.of({"key_secret": key, "message": "{{{body}}}{method}", "headers": "S: {signature}"})
    for whole in (body, body + b"{method}{nope}"):
        signed = scheme.sign(Request("post", "https://h/", {"s": "old"}, whole))
        assert signed.headers == {"S": hmac.new(key.encode(), b"{" + whole + b"}POST", "sha256").hexdigest()}
        assert signed.body is whole


def test_time_and_nonce_are_fresh_and_the_same_in_message_and_header() -> None:
    scheme = HmacSignatureScheme.of(
        {"key_secret": "k", "message": "{timestamp}.{nonce}", "headers": "T: {timestamp}\nN: {nonce}\nS: {signature}"}
    )
    nonces = set()
    for _ in range(50):
        made = scheme.sign(Request("GET", "https://h", {})).headers
        assert made["S"] == hmac.new(b"k", f"{made['T']}.{made['N']}".encode(), "sha256").hexdigest()
        nonces.add(made["N"])
    assert len(nonces) == 50


@pytest.mark.parametrize(
    ("url", "host", "path", "query"),
    [
        ("https://H.example:443", "h.example", "/", ""), ("http://h:80/a?b", "h", "/a", "b"), ("http://h:443/a%2Fb?c=d+e&c=%20#f", "h:443", "/a%2Fb", "c=d+e&c=%20"), ("http://[::1]:8080/", "[::1]:8080", "/", ""),
    ],
)  # fmt: skip
def test_parts_of_an_address_are_those_that_are_sent(url: str, host: str, path: str, query: str) -> None:
    scheme = HmacSignatureScheme.of(
        {"key_secret": "k", "message": "{body}", "headers": "S: {signature}\nX: {host} {path} {query}|{url}"}
    )
    assert scheme.sign(Request("GET", url, {})).headers["X"] == f"{host} {path} {query}|{url.partition('#')[0]}"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"message": "{metod}"}, "no {metod} here; did you mean 'method'"), ({"headers": "X: {signatur}"}, "did you mean 'signature'"), ({"headers": "X: {body}{signature}"}, "no {body} here"),
        ({"message": "{signature}"}, "no {signature} here"), ({"message": "{method"}, "brace is not closed"), ({"message": "{method!r}"}, "no {method}"), ({"message": "{method:>9}"}, "no {method}"),
        ({"message": "{method.__class__}"}, "no {method.__class__}"), ({"message": "{0}"}, "no {0}"), ({"message": "{}"}, "no {}"), ({"message": "fixed"}, "names no part"), ({"headers": "X: fixed"}, "no {signature} in it"),
        ({"headers": "X {signature}"}, "one `Name: value` a line"), ({"headers": "X Y: {signature}"}, "not a header's name"), ({"headers": "Host: {signature}"}, "connection's own business"), ({"headers": {"X": "a\r\nY: {signature}"}}, "line break"),
        ({"algorithm": "md5"}, "algorithm is one of"), ({"encoding": "hex "}, "encoding is one of"), ({"key_form": "base64", "key_secret": "not base64!"}, "key_secret is not base64"), ({"key_secret": ""}, "empty"),
        ({"message": "{key_id}"}, "key_id is missing"), ({"key_id": "a\r\nX: y"}, "plain ASCII"), ({"key_id": "ü"}, "plain ASCII"),
    ],
    ids=str,
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        scheme_of(credential("https://h", **{**BASE, **changed}))
    assert KEY not in str(refused.value)


@given(st.text(max_size=60))
def test_nothing_that_a_request_holds_gets_into_a_header(text: str) -> None:
    names = " ".join(f"{{{name}}}" for name in NAMES if name != "body")
    scheme = HmacSignatureScheme.of({**BASE, "key_id": "k", "headers": f"X: {names} {{signature}}"})
    try:
        made = scheme.sign(Request("GET", f"https://h/{text}", {})).headers["X"]
    except StopRunError as refused:
        assert any(ord(sign) < 32 or ord(sign) == 127 for sign in text)
        assert "X" in str(refused)
        return
    except UnicodeEncodeError:
        pytest.fail("a text of half characters came through")
    assert not any(ord(sign) < 32 or ord(sign) == 127 for sign in made)


def test_the_key_is_told_to_the_masker_in_each_form() -> None:
    one = credential("https://h", **BASE)
    assert {KEY, KEY.encode().hex(), b64encode(KEY.encode()).decode()} <= set(secrets_of(one, scheme_of(one)))
    assert KEY not in repr(scheme_of(one))
