"""Credentials over HTTP: for every member, a new place for administrators alone, and no answer, fault or line of the audit holds a secret. Source: PRODUCT.md P2, section 3."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from integrator.auth.changing import fields_of
from integrator.registry import SCHEMES
from integrator.web.api.credentials import TRIED_AT_ONCE, _trying
from tests.services.api_server import ADMINISTRATOR, NEIGHBOUR, NOBODY, OWNER, PLATFORM, SECRET, STANDARD, ApiServer
from tests.services.system import System

ALL, SHOP = "/projects/acme/credentials", "/projects/acme/credentials/shop"


def audited(api: ApiServer) -> str:
    return str([(one.line, one.line.detail) for one in api.parts.audit.lines()])


def test_credentials_are_shown_without_their_secrets(api: ApiServer) -> None:
    for who in (PLATFORM, OWNER, ADMINISTRATOR, STANDARD):
        told = api.ask(who, "GET", ALL).json()["credentials"]
        assert [(one["name"], one["scheme"], one["base_url"]) for one in told] == [
            ("shop", "basic", "https://shop.example.com/api")
        ]
        one = api.ask(who, "GET", SHOP)
        assert (one.json(), SECRET in one.text) == (told[0], False)
        assert one.json()["fields"] == {"username": "ann"}
        assert (one.json()["given"]["password"], one.json()["given"]["client_private_key"]) == (True, False)
        assert one.headers["ETag"] == f'"{one.json()["version"]}"'
    api.store.rows["acme__odd"] = "it was encrypted with another Fernet key"
    odd = api.ask(OWNER, "GET", f"{ALL}/odd").json()
    assert (odd["scheme"], odd["fault"]) == (None, "it was encrypted with another Fernet key")


def test_a_credential_is_made_changed_and_removed(api: ApiServer) -> None:
    body = {"name": "erp", "scheme": "bearer", "base_url": "https://shop.example.com/v2", "fields": {"token": SECRET}}
    made = api.ask(STANDARD, "POST", ALL, body)
    assert (made.status_code, made.headers["Location"]) == (201, "/integrator/v1/projects/acme/credentials/erp")
    assert (made.json()["given"]["token"], made.json()["erased"]) == (True, [])
    assert api.ask(STANDARD, "POST", ALL, body).status_code == 409
    etag = made.headers["ETag"]
    changed = api.ask(STANDARD, "PATCH", f"{ALL}/erp", {"fields": {"prefix": "Token"}}, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["fields"]["prefix"], changed.headers["ETag"] == etag) == (200, "Token", False)
    for stale in (etag, '"x"', "x", f"W/{changed.headers['ETag']}", '""', '"a", "b"'):
        refused = api.ask(STANDARD, "PATCH", f"{ALL}/erp", {"fields": {"prefix": "X"}}, headers={"If-Match": stale})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (412, "changed-meanwhile"), stale
    assert (
        api.ask(STANDARD, "PATCH", f"{ALL}/erp", {"fields": {"prefix": None}}, headers={"If-Match": "*"}).json()["given"][
            "prefix"
        ]
        is False
    )
    assert api.store.rows["acme__erp"].extra == {"token": SECRET}  # type: ignore[union-attr]
    assert api.ask(STANDARD, "DELETE", f"{ALL}/erp").status_code == 204
    assert api.ask(STANDARD, "DELETE", f"{ALL}/erp").status_code == 404
    assert api.ask(STANDARD, "PATCH", f"{ALL}/erp", {}).status_code == 404
    assert SECRET not in audited(api)
    assert {line[1] for line in api.lines("acme")} == {"credential.keep", "credential.remove"}


def test_a_new_place_is_for_an_administrator_to_name_and_costs_the_secret(api: ApiServer) -> None:
    for change in (
        {"base_url": "https://evil.example.com"},
        {"base_url": "https://shop.example.com:8443/api"},
        {"base_url": "https://shop.example.com.evil.example/"},
    ):
        assert api.ask(STANDARD, "PATCH", SHOP, change).status_code == 403
        assert api.ask(STANDARD, "POST", ALL, {"name": "two", "scheme": "none", **change}).status_code == 403
    oauth2 = {
        "grant": "client_credentials",
        "client_id": "x",
        "client_secret": SECRET,
        "token_url": "https://evil.example.com/token",
    }
    assert (
        api.ask(
            STANDARD, "POST", ALL, {"name": "two", "scheme": "oauth2", "base_url": "https://shop.example.com", "fields": oauth2}
        ).status_code
        == 403
    )
    went = api.ask(ADMINISTRATOR, "PATCH", SHOP, {"base_url": "https://new.example.com"})
    assert (went.json()["erased"], went.json()["given"]["password"]) == (["password"], False)
    assert "password" not in api.store.rows["acme__shop"].extra  # type: ignore[union-attr]
    moved = api.ask(ADMINISTRATOR, "PATCH", SHOP, {"base_url": "https://new.example.com", "fields": {"password": "another-one"}})
    assert moved.status_code == 200, moved.text
    assert api.store.rows["acme__shop"].extra["password"] == "another-one"  # type: ignore[union-attr]
    assert SECRET not in audited(api) + moved.text


@pytest.mark.parametrize(("method", "path", "body"), [
    ("GET", "", None), ("POST", "", {"name": "x", "scheme": "none", "base_url": "https://theirs.example.com"}), ("GET", "/shop", None), ("GET", "/theirs", None),
    ("PATCH", "/shop", {"fields": {}}), ("DELETE", "/shop", None), ("POST", "/shop/test", None),
])  # fmt: skip
def test_no_credential_of_another_project_shows_or_is_used(api: ApiServer, method: str, path: str, body: Any) -> None:
    for who in (NEIGHBOUR, NOBODY):
        there, not_there = (api.ask(who, method, f"/projects/{name}/credentials{path}", body) for name in ("acme", "acne"))
        assert (there.status_code, there.text.replace("acme", "acne")) == (404, not_there.text)
    assert set(api.store.rows) == {"acme__shop", "other__theirs"}


def test_a_name_does_not_lead_to_another_projects_credential(api: ApiServer) -> None:
    """The connection of project other is other__theirs; a name that makes that of acme's is none."""
    for name in (
        "theirs",
        "_theirs",
        "other__theirs",
        "shop%2F..%2F..%2Fother%2Fcredentials%2Ftheirs",
        "..%2Ftheirs",
        "shop__",
        "SHOP",
        "shop%00",
        "shop.",
        "__theirs",
        "ѕhop",
        "x" * 65,
    ):
        for method, rest, body in (
            ("GET", "", None),
            ("PATCH", "", {"fields": {"password": "x"}}),
            ("DELETE", "", None),
            ("POST", "/test", None),
        ):
            assert api.ask(OWNER, method, f"{ALL}/{name}{rest}", body).status_code == 404, (method, name)
    for name in ("_x", "a__b", "X", "x" * 65, "a\x00", "../x", "", "x\n", 1, None):
        assert (
            api.ask(OWNER, "POST", ALL, {"name": name, "scheme": "none", "base_url": "https://shop.example.com"}).status_code
            == 422
        ), name
    assert set(api.store.rows) == {"acme__shop", "other__theirs"}


URLS = [
    f"https://user:{SECRET}@shop.example.com/", f"https://user:{SECRET}@shop.example.com:x/", f"https://{SECRET}@[::1/", f"//{SECRET}@x", f"https://shop.example.com?key={SECRET}",
    f"https://shop.example.com#{SECRET}", f"javascript:{SECRET}", f"https://user:{SECRET}@shop.example.com:99999/", f"https://shop.example.com/\x00?{SECRET}", f"http://user:{SECRET}@169.254.169.254/",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS, ids=range(len(URLS)))
def test_a_secret_in_an_address_is_neither_answered_nor_noted(api: ApiServer, url: str) -> None:
    for who in (STANDARD, ADMINISTRATOR):
        for method, path, more in (
            ("POST", ALL, {"name": "two", "scheme": "none"}),
            ("PATCH", SHOP, {"fields": {"password": "x"}}),
        ):
            answer = api.ask(who, method, path, {"base_url": url, **more})
            assert SECRET not in answer.text, (who, method, answer.text)
            assert answer.status_code < 500
        for path in (ALL, SHOP):
            assert SECRET not in api.ask(who, "GET", path).text
    assert SECRET not in audited(api)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_secret_of_any_scheme_comes_back_whatever_is_wrong_with_the_others(api: ApiServer, scheme: str) -> None:
    known = fields_of(scheme)
    secret = {one.name for one in known.values() if one.secret}
    for odd in (
        "",
        "x",
        f"{SECRET}\n{SECRET}",
        f'{{"a": "{SECRET}"}}',
        f"[{{'{SECRET}'}}]",
        7,
        True,
        None,
        [SECRET],
        {"x": SECRET},
        "-----BEGIN PRIVATE KEY-----\n" + SECRET,
    ):
        given = {name: SECRET if name in secret and isinstance(odd, str) and len(odd) < 2 else odd for name in known}
        for fields in (
            given,
            {name: value for name, value in given.items() if name in secret},
            {**dict.fromkeys(known, "x"), **dict.fromkeys(secret, odd)},
        ):
            body = {"name": "two", "scheme": scheme, "base_url": "https://shop.example.com", "fields": fields}
            made = api.ask(ADMINISTRATOR, "POST", ALL, body)
            assert made.status_code in (201, 403, 422), made.text
            shown = [made.text, api.ask(STANDARD, "GET", ALL).text, api.ask(STANDARD, "GET", f"{ALL}/two").text]
            if set(fields) <= secret or odd in ("", "x"):
                assert SECRET not in str(shown)
            assert SECRET not in audited(api)
            api.store.rows.pop("acme__two", None)


def test_a_real_call_is_made_and_told_in_words(api: ApiServer, system: System) -> None:
    fields = {"plain_http": True, "username": "ann", "password": SECRET}
    api.ask(OWNER, "POST", ALL, {"name": "there", "scheme": "basic", "base_url": system.url, "fields": fields})
    tried = api.ask(STANDARD, "POST", f"{ALL}/there/test")
    assert (tried.status_code, set(tried.json()), SECRET in tried.text) == (200, {"ok", "words"}, False), tried.text
    assert api.ask(STANDARD, "POST", f"{ALL}/none/test").status_code == 404
    assert api.lines("acme")[-1] == (STANDARD, "credential.test", "refused")


def test_only_so_many_are_tried_at_once(api: ApiServer) -> None:
    """Each holds a thread of the API server for as long as another system takes."""
    for _ in range(TRIED_AT_ONCE):
        assert _trying.acquire(blocking=False)
    try:
        told = api.ask(STANDARD, "POST", f"{SHOP}/test")
        assert (told.status_code, told.headers["Retry-After"]) == (429, "5")
    finally:
        for _ in range(TRIED_AT_ONCE):
            _trying.release()
    assert api.ask(STANDARD, "POST", f"{ALL}/none/test").status_code == 404
    assert api.ask(STANDARD, "POST", f"{ALL}/none/test").status_code == 404  # what ended is given back
    assert threading.active_count() < 100


@pytest.mark.parametrize(
    "fields",
    [
        b'{"username": NaN}',
        b'{"username": -Infinity}',
        b'{"username": 1e400}',
        b'{"username": "\\ud800"}',
        b'{"username": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"[]",
        b"null",
        b'"x"',
    ],
)
def test_fields_that_are_no_json_are_refused(api: ApiServer, fields: bytes) -> None:
    body = b'{"name": "two", "scheme": "basic", "base_url": "https://shop.example.com", "fields": ' + fields + b"}"
    answer = api.ask(OWNER, "POST", ALL, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert json.loads(answer.text)["detail"]
