"""Every registered scheme signs, on both its faces, against a real server that verifies; and shows nothing of its secrets."""

from __future__ import annotations

import json
from base64 import b64encode
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from airflow.sdk.log import redact

from integrator.auth.connections import from_environment, of_connection
from integrator.auth.presenting import make_ready
from integrator.auth.scheme import COMMON, scheme_of, secrets_of, short_secrets
from integrator.auth.signers import PlainSigner
from integrator.errors import ConfigError, EgressRefusedError, SignInAgainError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.provider import get_provider_info, hook_class
from integrator.registry import SCHEMES, find
from integrator.wire.egress import Egress, networks
from integrator.wire.message import Request
from integrator.wire.proxies import NO_PROXIES
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System, record

ROOT = Path(__file__).parents[2]
SECRET = "s3cret-ü+&=% :x"
KEY = "key-with+&=%/sign"


def header(name: str, expected: str) -> Any:
    return lambda request: request.headers.get(name) == expected


# scheme -> (its fields, what a server checks, fields that are wrong)
CASES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("none", {}, lambda request: "Authorization" not in request.headers, {}),
    ("basic", {"username": "ürsula", "password": SECRET}, header("Authorization", "Basic " + b64encode(f"ürsula:{SECRET}".encode()).decode()), {"username": "u", "password": "wrong"}),
    ("basic", {"username": "key-only"}, header("Authorization", "Basic " + b64encode(b"key-only:").decode()), {"username": "other"}),
    ("bearer", {"token": KEY}, header("Authorization", f"Bearer {KEY}"), {"token": "wrong"}),
    ("bearer", {"token": KEY, "header": "X-Auth-Token"}, header("X-Auth-Token", KEY), {"token": "wrong", "header": "X-Auth-Token"}),
    ("bearer", {"token": KEY, "prefix": "Token"}, header("Authorization", f"Token {KEY}"), {"token": "wrong", "prefix": "Token"}),
    ("api_key", {"api_key_secret": KEY}, header("X-API-Key", KEY), {"api_key_secret": "wrong"}),
    ("api_key", {"api_key_secret": KEY, "name": "k y", "place": "query"}, lambda request: request.query.get("k y") == KEY, {"api_key_secret": "w", "name": "k y", "place": "query"}),
    ("api_key", {"api_key_secret": KEY, "name": "k", "place": "cookie"}, lambda request: request.cookies.get("k") == requests.utils.quote(KEY, safe=""), {"api_key_secret": "w", "name": "k", "place": "cookie"}),
]  # fmt: skip
IDS = [f"{case[0]}-{at}" for at, case in enumerate(CASES)]


ELSEWHERE = {
    "oauth2": "tests/conformance/test_oauth2.py",
    "session_login": "tests/conformance/test_session_schemes.py",
    "token_chain": "tests/conformance/test_session_schemes.py",
    "oauth1": "tests/conformance/test_oauth1.py",
    "digest": "tests/conformance/test_digest.py",
    "aws_sigv4": "tests/conformance/test_aws_sigv4.py",
    "hmac_signature": "tests/conformance/test_hmac_signature.py",
    "ntlm": "tests/scenarios/test_ntlm.py",
}
"""Schemes that need a server of their own, and the file that tries both faces of each against it."""


def test_every_scheme_is_tried() -> None:
    assert {case[0] for case in CASES} | set(ELSEWHERE) == set(SCHEMES)
    for name, file in ELSEWHERE.items():
        tried = (ROOT / file).read_text()
        assert f'"{name}"' in tried
        assert "SignedSession(" in tried and "await move(" in tried


def credential_for(system: System, scheme: str, fields: dict[str, Any]) -> Credential:
    return Credential("acme", "there", scheme, system.url, {"plain_http": True, **fields})


def guard(system: System, verify: Any) -> None:
    system.records = [record(n) for n in range(3)]
    system.on_read = lambda request: None if verify(request) else web.Response(status=401)


@pytest.mark.parametrize(("name", "fields", "verify", "wrong"), CASES, ids=IDS)
async def test_signs_the_engine_s_calls(
    system: System, name: str, fields: dict[str, Any], verify: Any, wrong: dict[str, Any]
) -> None:
    guard(system, verify)
    assert (await move(parts(credential_for(system, name, fields)), plan(flow()))).counts.created == 3
    if wrong:
        with pytest.raises(SignInAgainError) as refused:
            await move(parts(credential_for(system, name, wrong)), plan(flow()))
        assert not any(
            str(value) in str(refused.value)
            for value in wrong.values()
            if len(str(value)) > 3 and value not in ("query", "cookie", "X-Auth-Token", "Token", "k y")
        )


@pytest.mark.parametrize(("name", "fields", "verify", "wrong"), CASES, ids=IDS)
def test_signs_a_person_s_session(system: System, name: str, fields: dict[str, Any], verify: Any, wrong: dict[str, Any]) -> None:
    guard(system, verify)
    credential = credential_for(system, name, fields)
    with SignedSession(make_ready(credential, parts().around()), NO_PROXIES) as session:
        assert session.get("/items").status_code == 200
        assert session.get(f"{system.url}/items", params={"page": "9"}).json()["items"] == []
        with pytest.raises(EgressRefusedError):
            session.get("http://127.0.0.1:9/items")
        assert SECRET not in repr(session)
        assert KEY not in repr(session)


@pytest.mark.parametrize(("name", "fields", "verify", "wrong"), CASES, ids=IDS)
async def test_a_header_of_the_same_name_does_not_go_out_twice(
    name: str, fields: dict[str, Any], verify: Any, wrong: dict[str, Any]
) -> None:
    signer = PlainSigner(scheme_of(Credential("acme", "there", name, "https://h.example", fields)), {"X-Tenant": "ours"})
    plain = await signer.sign(Request("GET", "https://h.example/x", {}))
    again = await signer.sign(Request("GET", "https://h.example/x", {one.lower(): "theirs" for one in plain.request.headers}))
    assert {one.lower() for one in again.request.headers} == {one.lower() for one in plain.request.headers}
    assert len(again.request.headers) == len(plain.request.headers)
    assert again.request.headers["x-tenant"] == "theirs"  # the pipe's own wins over a fixed one


@pytest.mark.parametrize(("name", "fields", "verify", "wrong"), CASES, ids=IDS)
def test_shows_nothing(name: str, fields: dict[str, Any], verify: Any, wrong: dict[str, Any]) -> None:
    credential = Credential("acme", "there", name, "https://shop.example.com", fields)
    scheme = scheme_of(credential)
    secret = [str(fields[f.name]) for f in find("scheme", name).FIELDS if f.secret and f.name in fields]
    for one in secret + secrets_of(credential, scheme):
        assert one not in repr(scheme)
        assert one not in repr(credential)
    assert set(secret) <= set(secrets_of(credential, scheme))


@pytest.mark.parametrize(
    "given",
    ["X-Key: key-1234567\nAuthorization: Token tok-1234567", {"X-Key": "key-1234567", "Authorization": "Token tok-1234567"}],
)
def test_a_log_s_masker_is_told_of_each_extra_header_and_each_cookie(given: Any) -> None:
    credential = Credential("acme", "there", "basic", "https://h.example", {"username": "u", "headers_secret": given})
    assert {"key-1234567", "tok-1234567"} <= set(secrets_of(credential, scheme_of(credential)))
    assert {"one-cookie", "other=cookie"} <= set(Token("A=one-cookie; B=other=cookie", 0.0).secrets())


@pytest.mark.parametrize("name", SCHEMES)
def test_declares_its_fields_once_for_hook_form_and_connection(name: str) -> None:
    kind = find("scheme", name)
    assert name == kind.NAME
    [form] = [t for t in get_provider_info()["connection-types"] if t["connection-type"] == f"integrator_{name}"]
    assert form["hook-class-name"] == hook_class(name)
    module, _dot, hook = hook_class(name).rpartition(".")
    made = getattr(import_module(module), hook)
    assert (made.scheme, made.conn_type, made.hook_name) == (name, f"integrator_{name}", kind.LABEL)
    assert list(form["conn-fields"]) == [f.name for f in (*kind.FIELDS, *COMMON)]
    for field in (*kind.FIELDS, *COMMON):
        schema = form["conn-fields"][field.name]["schema"]
        assert (schema.get("format") == "password") == field.secret
        # Airflow masks an extra field by its name alone.
        assert not field.secret or redact({field.name: KEY}) == {field.name: "***"}, field.name


@pytest.mark.parametrize(
    ("scheme", "fields", "said"),
    [
        ("basic", {"username": "a:b"}, "colon"), ("basic", {}, "'username' is missing"), ("basic", {"username": "a", "passwrd": "x"}, "did you mean 'password'"), ("bearer", {"token": "a\nb"}, "line break"),
        ("bearer", {"token": ""}, "empty"), ("api_key", {"api_key_secret": "x", "place": "body"}, "place is one of"), ("basc", {}, "did you mean 'basic'"),
        ("bearer", {"token": "x", "header": "X Y"}, "header is not a header's name"), ("api_key", {"api_key_secret": "x", "name": "a;b", "place": "cookie"}, "name is not a header's name"),
        ("basic", {"username": ["u"]}, "username is one value"), ("none", {"signed_out_when": [401, 403]}, "signed_out_when is one value"),
    ],
)  # fmt: skip
def test_a_faulty_credential_says_what_to_change(scheme: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scheme_of(Credential("acme", "there", scheme, "https://h", fields))


def test_short_secrets_warn() -> None:
    assert short_secrets(Credential("acme", "there", "basic", "https://h", {"username": "u", "password": "short"}))
    assert not short_secrets(Credential("acme", "there", "basic", "https://h", {"username": "u", "password": "long enough"}))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"conn_type": "integrator_basic", "host": "https://shop.example.com:8443/api", "extra": {"username": "u", "password": "p+&=%"}}),
        json.dumps({"conn_type": "integrator_basic", "host": "https://shop.example.com:8443/api", "extra": json.dumps({"username": "u", "password": "p+&=%"})}),
        json.dumps({"conn_type": "integrator-basic", "host": "https://shop.example.com/api", "port": None, "extra": {"username": "u", "password": "p+&=%"}}).replace(".com/", ".com:8443/"),
        "integrator-basic://https://shop.example.com:8443/api?username=u&password=p%2B%26%3D%25",
        "integrator-basic://https%3A%2F%2Fshop.example.com%3A8443%2Fapi?username=u&password=p%2B%26%3D%25",
        "integrator-basic://https%3A%2F%2Fshop.example.com%3A8443%2Fapi?__extra__=%7B%22username%22%3A+%22u%22%2C+%22password%22%3A+%22p%2B%26%3D%25%22%7D",
    ],
)  # fmt: skip
def test_connections_from_variables(text: str) -> None:
    made = from_environment({"AIRFLOW_CONN_ACME__SHOP": text}, "acme", "shop")
    assert made == Credential(
        "acme", "shop", "basic", "https://shop.example.com:8443/api", {"username": "u", "password": "p+&=%"}
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{broken", "neither JSON"),
        ("http://x", "not one of ours"),
        (json.dumps({"conn_type": "integrator_bsic"}), "did you mean 'basic'"),
        (json.dumps({"conn_type": "integrator_basic", "login": "secret-user"}), "belong in extra"),
        (json.dumps({"conn_type": "integrator_none", "extra": "nope"}), "not JSON"),
    ],
)
def test_connections_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        from_environment({"AIRFLOW_CONN_ACME__SHOP": text}, "acme", "shop")
    assert "secret-user" not in str(refused.value)


def test_a_connection_of_another_project_is_not_found() -> None:
    assert from_environment({"AIRFLOW_CONN_OTHER__SHOP": "integrator-none://x"}, "acme", "shop") is None
    assert of_connection("a__b__c", "integrator_none", "https://h", {}).project == "a"


@pytest.mark.parametrize(
    ("base", "extra", "allowed", "said"),
    [
        ("http://shop.example.com", {}, "", "http sends secrets in clear"), ("http://10.1.2.3", {"plain_http": True}, "", "in neither"), ("http://10.1.2.3", {"plain_http": True}, "10.1.0.0/16", None),
        ("http://127.0.0.1:1", {"plain_http": "true"}, "", None), ("http://[::1]:1", {"plain_http": True}, "", None), ("http://169.254.169.254", {"plain_http": True}, "10.0.0.0/8", "link-local"),
        ("http://[::ffff:10.1.2.3]", {"plain_http": True}, "", "in neither"), ("ftp://x", {}, "", "with its scheme"), ("shop.example.com", {}, "", "with its scheme"), ("https://u:p@x.example", {}, "", "no user"),
        ("https://x.example/?a=b", {}, "", "no query"), ("https://x.example/api/", {}, "", None), ("https://x:99999", {}, "", "not a URL"), ("https://", {}, "", "scheme"),
    ],
)  # fmt: skip
def test_which_base_urls_may_be_used(base: str, extra: dict[str, Any], allowed: str, said: str | None) -> None:
    credential = Credential("acme", "there", "none", base, extra)
    if said is None:
        assert Egress.of(credential, networks(allowed)).base_url == base.rstrip("/")
        return
    with pytest.raises(ConfigError, match=said) as refused:
        Egress.of(credential, networks(allowed))
    assert "u:p" not in str(refused.value)
