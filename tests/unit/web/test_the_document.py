"""The API's document says all that there is, and what it says is so: requests made from it are never a fault of ours. Source: RFC 9457, OpenAPI 3.1."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.web.api.document import document, document_text
from tests.services.api_server import EVERYBODY, OWNER, ApiServer
from tests.services.demo import ROOT

OPERATIONS = [(method, path, operation) for path, methods in document()["paths"].items() for method, operation in methods.items()]
IDS = [one["operationId"] for _, _, one in OPERATIONS]


def test_the_document_kept_beside_the_code_is_fresh() -> None:
    assert (ROOT / "docs" / "reference" / "openapi.json").read_text("utf-8") == document_text(), (
        "run: python docs/make_reference.py"
    )


def test_the_document_is_served_as_it_is(api: ApiServer) -> None:
    assert api.ask(OWNER, "GET", "/openapi.json").json() == json.loads(document_text())


def test_every_route_is_in_the_document(api: ApiServer) -> None:
    routes = {
        (method.lower(), route.path.replace(":path}", "}"))
        for route in api.app.routes for method in route.methods if route.path.startswith("/v1")
    }  # fmt: skip
    assert routes == {(method, path) for method, path, _ in OPERATIONS}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_every_operation_says_what_it_does_and_what_may_come(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["description"] and operation["tags"]
    assert operation["security"] == [{"token": []}, {"cookie": []}]
    assert {"401", "503"} <= set(operation["responses"])
    for status, answer in operation["responses"].items():
        assert answer["description"] not in ("", "Successful Response"), (status, answer)
        if status[0] in "45":
            assert set(answer["content"]) == {"application/problem+json"}, status
            assert answer["content"]["application/problem+json"]["example"]["status"] == int(status)
    assert ("404" in operation["responses"]) == ("{" in path)
    assert {"400", "413", "415", "422"} <= set(operation["responses"]) or "requestBody" not in operation
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter
    if "requestBody" in operation:
        assert _resolved(operation["requestBody"]["content"]["application/json"]["schema"])["additionalProperties"] is False


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document()["components"]["schemas"][name] if name else schema
    return found


def test_every_reference_leads_somewhere() -> None:
    text, known = document_text(), document()["components"]["schemas"]
    asked = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert asked <= set(known)
    assert set(known) - asked == set(), "a schema that nothing uses"


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.sampled_from(["", "\x00", "acme", "owner", "../x", "=1", "\u202e", "none"]),
)  # fmt: skip
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3), max_leaves=8
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that fit a schema of the document."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "allOf" in schema:
        return values(schema["allOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kind = schema.get("type")
    if kind == "object":
        known = schema.get("properties", {})
        needed = {name: values(one) for name, one in known.items() if name in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional={name: values(one) for name, one in known.items() if name not in needed})
    if kind == "array":
        return st.lists(values(schema.get("items", {})), max_size=3)
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if kind == "string":
        examples = schema.get("examples", [])
        return st.one_of(
            st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 40), 40)), *map(st.just, examples)
        )
    return {"boolean": st.booleans(), "null": st.none(), "number": st.floats()}.get(str(kind), JSON)


def bent(fits: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values that fit, and such that nearly or hardly do."""

    def with_odd(value: Any, name: str, odd: Any) -> Any:
        return {**value, name: odd} if isinstance(value, dict) else odd

    names = st.sampled_from(["role", "name", "owner", "to", "plan", "alerts", "x"]) | st.text(max_size=5)
    return st.one_of(fits, st.builds(with_odd, fits, names, JSON), JSON)


@st.composite
def requests_of(draw: st.DrawFn, operation: dict[str, Any], path: str) -> tuple[str, dict[str, Any], Any]:
    query: dict[str, Any] = {}
    for parameter in operation.get("parameters", []):
        # Half of them are about what is there, or nothing behind the first check would be reached.
        value = draw(
            st.one_of(*map(st.just, parameter.get("examples") or ["x"]), values(parameter["schema"]), st.text(max_size=20))
        )
        if parameter["in"] == "path":
            name = (
                str(value).encode("utf-8", "replace").replace(b"\n", b"").strip(b".")
            )  # a client makes dots tidy, and no address has a line's end
            path = path.replace(f"{{{parameter['name']}}}", quote(name, safe="") or "x")
        elif draw(st.booleans()):
            query[parameter["name"]] = str(value).encode("utf-8", "replace")
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return path, query, draw(bent(values(schema))) if schema else None


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_request_made_from_the_document_is_a_fault_of_ours(
    served: ApiServer, method: str, path: str, operation: dict[str, Any], data: st.DataObject
) -> None:
    served.begin()
    address, query, body = data.draw(requests_of(operation, path))
    who = data.draw(st.sampled_from(EVERYBODY))
    sent = None if body is None and "requestBody" not in operation else json.dumps(body).encode()
    accept = data.draw(st.sampled_from(["*/*", *operation["responses"].get("200", {}).get("content", {}), "text/plain"]))
    answer = served.ask(
        who, method.upper(), address.removeprefix("/v1"), params=query, data=sent, headers={"Content-Type": "application/json", "Accept": accept},
    )  # fmt: skip
    assert answer.status_code < 500, answer.text
    assert str(answer.status_code) in operation["responses"], (answer.status_code, answer.text)
