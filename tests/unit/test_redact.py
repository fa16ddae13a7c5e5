"""Redaction: no secret is shown, under whatever name, in whatever nesting and encoding; and what is none stays readable."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.wire.redact import HIDDEN, Redactor, is_secret_name

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "JSON text": json.dumps,
    "JSON text in ASCII": lambda text: json.dumps(text, ensure_ascii=True),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "pair in base64": lambda text: b64encode(f"someone:{text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "HTML": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;"),
}
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40)
NAMES = st.sampled_from(["note", "remark", "a", "data", "value"])


def nested(secret: str) -> st.SearchStrategy[Any]:
    leaf = st.one_of(st.just(secret), st.just(f"before {secret} after"), st.text(max_size=5), st.integers())
    return st.recursive(
        leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=8
    )


@given(st.data(), SECRETS, st.lists(st.sampled_from(sorted(ENCODINGS)), max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_registered_secret_survives_any_nesting_or_encoding(data: st.DataObject, secret: str, encodings: list[str]) -> None:
    redactor = Redactor([secret])
    encoded = secret
    for name in encodings:
        encoded = ENCODINGS[name](encoded)
    value = data.draw(nested(encoded))
    for body, kind in ((json.dumps(value).encode(), "application/json"), (f"x={quote(str(value))}&y={quote(encoded)}".encode(), "application/x-www-form-urlencoded"), (f"<a>{encoded}</a>".encode(), "text/xml"), (f"said: {encoded}!".encode(), "text/plain")):  # fmt: skip
        assert secret not in redactor.body(body, kind)
        assert encoded not in redactor.body(body, kind) or len(encoded) < 4
    shown = json.dumps([redactor.headers({"X-Note": encoded}), redactor.params(f"a={quote(encoded)}"), redactor.url(f"https://h.example/x/{quote(encoded, safe='')}?k={quote(encoded)}#f")])  # fmt: skip
    assert secret not in shown
    assert not Redactor([secret]).hides(shown)


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Auth-Token", "X-Shopify-Access-Token", "api-key", "apiKey", "api_key", "x-api-key", "access_token", "refreshToken", "client_secret", "Password", "userPassword", "oauth_signature", "oauth_nonce", "X-Amz-Signature", "X-Amz-Credential", "SessionId", "B1SESSIONID", "X-CSRF-Token", "client_assertion", "pin", "PassWd", "privateKey", "X-Amz-Security-Token"])  # fmt: skip
def test_what_stands_under_such_a_name_is_hidden_everywhere(name: str) -> None:
    assert is_secret_name(name), name
    redactor = Redactor()
    assert redactor.headers({name: "canary"}) == {name: HIDDEN}
    assert redactor.params(f"{name}=canary&{name}=canary") == {name: [HIDDEN, HIDDEN]}
    assert "canary" not in redactor.body(json.dumps({"a": [{"b": {name: ["canary", {"c": "canary"}]}}]}).encode())
    assert "canary" not in redactor.body(json.dumps({"inner": json.dumps({name: "canary"})}).encode())
    assert "canary" not in redactor.body(f"{name}=canary&x=1".encode(), "application/x-www-form-urlencoded")
    assert "canary" not in redactor.body(f"<r><{name}>canary</{name}></r>".encode(), "text/xml")
    assert "canary" not in redactor.body(f"{name}=canary\n{name}: canary".encode(), "text/plain")


@pytest.mark.parametrize("name", ["id", "key", "sku", "name", "author", "authored_by", "keyboard", "monkey", "spine", "shopping", "description", "total", "pine", "sign"])  # fmt: skip
def test_what_is_no_secret_stays_readable(name: str) -> None:
    assert not is_secret_name(name)
    body = json.dumps({name: "plain", "n": 1.5, "list": [True, None, "ä"]}).encode()
    assert json.loads(Redactor(["something-else"]).body(body)) == json.loads(body)
    assert Redactor().url("https://u:p@h.example/a/b?x=1#f") == "https://h.example/a/b"


def test_odd_bodies_are_bounded_and_harmless() -> None:
    redactor = Redactor(["canary-secret"])
    assert redactor.body(b"") == ""
    assert redactor.body(b"\x89PNG\x00\x00canary-secret") == "(19 bytes that are no text)"
    assert "canary" not in redactor.body(b"[" * 5000 + b'"canary-secret"' + b"]" * 5000)
    deep: Any = "canary-secret"
    for _ in range(200):
        deep = [deep]
    assert "canary" not in redactor.body(json.dumps(deep).encode())
    assert "canary" not in redactor.body(b'{"a": "canary-secret')
    assert redactor.headers({"canary-note": "x", "x-canary-secret": "y"}) == {"canary-note": "x", "x-***": HIDDEN}
