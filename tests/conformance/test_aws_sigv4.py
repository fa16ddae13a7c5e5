"""Signature V4: Amazon's published example, botocore's own signer, and an S3 that checks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import botocore.auth
import pytest
import requests
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from integrator.auth.aws_sigv4 import AwsSigv4Scheme, one_form
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import scheme_of
from integrator.auth.trying import try_credential
from integrator.errors import ConfigError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from tests.services.ministack import REGION, Ministack
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System

HERE = f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
EXAMPLE = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "service",
}


def credential(server: Ministack, **changed: Any) -> Credential:
    given_ = {
        "access_key_id": server.access_key_id,
        "secret_access_key": server.secret_access_key,
        "region": REGION,
        "service": "s3",
    }
    return Credential("acme", "there", "aws_sigv4", server.url, {"plain_http": True, **given_, **changed})


def session_for(one: Credential) -> SignedSession:
    return SignedSession(make_ready(one, parts().around()), NO_PROXIES)


@pytest.fixture
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2015, 8, 30, 12, 36, tzinfo=UTC))


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (Request("GET", "https://example.amazonaws.com/", {}), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (Request("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", {"Accept": "x", "Authorization": "old"}), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (Request("POST", "https://example.amazonaws.com/", {}), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)  # fmt: skip
def test_the_published_examples(fixed_time: None, request_: Request, signature: str) -> None:
    signed = AwsSigv4Scheme.of(EXAMPLE).sign(request_)
    assert signed.headers["Authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={signature}")
    assert signed.headers["X-Amz-Date"] == "20150830T123600Z"


letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(letters, max_size=4), st.lists(st.tuples(letters, letters), max_size=4), st.binary(max_size=40), st.sampled_from(["s3", "execute-api"]), st.booleans()
)  # fmt: skip
def test_an_address_is_signed_as_amazon_s_own_client_signs_it(
    segments: list[str], pairs: list[tuple[str, str]], body: bytes, service: str, token: bool
) -> None:
    path = "/" + "/".join(quote(one, safe="~") for one in segments)
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    url = f"https://h.example:8443{path}" + (f"?{query}" if query else "")
    more = {"session_token": "a/session+token=="} if token else {}
    given_ = {**EXAMPLE, "service": service, **more}
    signed = AwsSigv4Scheme.of(given_).sign(Request("PUT", url, {"Content-Type": "text/plain", "Connection": "x"}, body))
    assert signed.url == one_form(signed.url)
    theirs = AWSRequest("PUT", signed.url, {"Content-Type": "text/plain"}, body)
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer = kind(
        Credentials(EXAMPLE["access_key_id"], EXAMPLE["secret_access_key"], more.get("session_token")), service, "us-east-1"
    )
    with pytest.MonkeyPatch.context() as patch:
        stamp = datetime.strptime(signed.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        patch.setattr(botocore.auth, "get_current_datetime", lambda: stamp)
        signer.add_auth(theirs)
    assert signed.headers["Authorization"] == theirs.headers["Authorization"]
    assert service != "s3" or signed.headers["X-Amz-Content-SHA256"] == hashlib.sha256(body).hexdigest()
    assert signed.headers.get("X-Amz-Security-Token") == more.get("session_token")
    if "%" not in path + query:
        assert signed.url == url


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://h", "https://h/"), ("https://h/a b(c)/ü", "https://h/a%20b%28c%29/%C3%BC"), ("https://h/a%2fb%7Ec", "https://h/a%2Fb~c"), ("https://h/?acl", "https://h/?acl"),
        ("https://h/?a=b+c&d[0]=e|f&&g=#x", "https://h/?a=b%20c&d%5B0%5D=e%7Cf&g="), ("https://h/x?a=%2B=", "https://h/x?a=%2B%3D"),
    ],
)  # fmt: skip
def test_an_address_has_one_form(url: str, sent: str) -> None:
    assert one_form(url) == sent
    assert one_form(sent) == sent


NAMES = ["items.json", "a b+c(d)!.json", "ü/~x'*;=,@:$&.json", "double//slash.json", "dots/./x.json"]


async def test_an_s3_that_checks_takes_both_faces(ministack: Ministack, system: System) -> None:
    bucket = "both-faces"
    items = json.dumps({"items": [{"id": f"r{n}", "name": "n", "amount": n} for n in range(3)]})

    def person() -> None:
        with session_for(credential(ministack)) as session:
            assert session.put(f"/{bucket}", data=HERE).status_code == 200
            for name in NAMES:
                path = f"/{bucket}/{quote(name, safe='/')}"
                assert session.put(path, data=items, headers={"Content-Type": "application/json"}).status_code == 200, name
                assert session.get(path).text == items
            listed = session.get(f"/{bucket}", params={"list-type": "2", "prefix": "a b+c(", "delimiter": "/"})
            assert "<Key>a b+c(d)!.json</Key>" in unquote(listed.text)
            assert session.put(f"/{bucket}/binary", data=bytes(range(256))).status_code == 200
            assert session.get(f"/{bucket}/binary", headers={"Range": "bytes=1-3"}).content == b"\x01\x02\x03"
            with pytest.raises(ConfigError, match="not as a stream"):
                session.put(f"/{bucket}/stream", data=iter([b"a", b"b"]))

    await asyncio.to_thread(person)
    for name in NAMES[:2]:
        source = {"path": f"/{bucket}/{quote(name)}", "pages": {"by": "single"}, "by_id": None}
        made = parts(credential(ministack), system.credential("shop"))
        assert (await move(made, plan(flow(source=source, destination={"credential": "shop"})))).counts.created == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"secret_access_key": "wrong-secret"},
        {"access_key_id": "AKIAWRONG"},
        {"session_token": "made-up"},
        {"region": "us-west-1"},
    ],
    ids=str,
)
def test_an_s3_that_checks_refuses_what_is_wrong(ministack: Ministack, changed: dict[str, Any]) -> None:
    with session_for(credential(ministack, **changed)) as session:
        assert session.put("/refused", data=HERE).status_code in (400, 403)


TAMPERED: list[tuple[str, Callable[[Request], None]]] = [
    ("query", lambda signed: setattr(signed, "url", signed.url + "&versioning")),
    ("path", lambda signed: setattr(signed, "url", signed.url.replace("/good", "/evil"))),
    ("method", lambda signed: setattr(signed, "method", "DELETE")),
    ("body's hash", lambda signed: signed.headers.update({"X-Amz-Content-SHA256": hashlib.sha256(b"other").hexdigest()})),
    ("time", lambda signed: signed.headers.update({"X-Amz-Date": "20200101T000000Z"})),
    ("header", lambda signed: signed.headers.update({"X-Amz-Acl": "public-read"})),
]


@pytest.mark.parametrize(("what", "tamper"), TAMPERED, ids=[name for name, _ in TAMPERED])
def test_an_s3_that_checks_refuses_what_was_changed_on_the_way(
    ministack: Ministack, what: str, tamper: Callable[[Request], None]
) -> None:
    with session_for(credential(ministack)) as session:
        session.put("/tampered", data=HERE)
        assert session.put("/tampered/good", data=b"x").status_code == 200
    scheme = scheme_of(credential(ministack))
    signed = scheme.sign(Request("PUT", f"{ministack.url}/tampered/good?x=1", {"X-Amz-Acl": "private"}, b"body"))
    tamper(signed)
    answer = requests.request(signed.method, signed.url, headers=signed.headers, data=signed.body, timeout=10)
    assert answer.status_code in (400, 403), what


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"region": "eu/central"}, "region is a word"), ({"service": ""}, "service is a word"), ({"access_key_id": "AK\r\nX: y"}, "access_key_id is a word"),
        ({"secret_access_key": "a\nb"}, "line break"), ({"secret_access_key": ""}, "empty"), ({"session_token": "a\r\nX: y"}, "line break"), ({"session_token": "ü"}, "other signs"),
    ],
    ids=str,
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scheme_of(Credential("acme", "there", "aws_sigv4", "https://h", {**EXAMPLE, **changed}))


def test_headers_of_the_request_cannot_speak_for_the_signer() -> None:
    scheme = AwsSigv4Scheme.of({**EXAMPLE, "session_token": "real"})
    signed = scheme.sign(
        Request("GET", "https://h/", {"x-amz-security-token": "other", "authorization": "other", "X-AMZ-DATE": "old"})
    )
    assert [value for name, value in signed.headers.items() if name.lower() == "x-amz-security-token"] == ["real"]
    assert len([name for name in signed.headers if name.lower() in ("authorization", "x-amz-date")]) == 2
    assert "other" not in signed.headers.values()


async def test_trying_says_what_a_403_may_mean(ministack: Ministack) -> None:
    tried = await try_credential(credential(ministack, secret_access_key="wrong-secret"), parts().around())
    assert not tried.ok
    assert "403" in tried.words and "a wrong key, region or service" in tried.words
    assert "wrong-secret" not in tried.words
    assert (await try_credential(credential(ministack), parts().around())).ok
