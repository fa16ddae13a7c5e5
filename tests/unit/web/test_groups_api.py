"""Groups over HTTP: for the platform's administrators; a deleted one leaves no role behind. Source: PRODUCT.md P10."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.api_server import ADMINISTRATOR, OWNER, PLATFORM, ApiServer


def listed(api: ApiServer) -> list[tuple[str, list[str], dict[str, str]]]:
    return [(one["name"], one["users"], one["roles"]) for one in api.ask(PLATFORM, "GET", "/groups").json()["groups"]]


def test_a_group_is_made_filled_emptied_and_deleted_with_its_roles(api: ApiServer) -> None:
    api.ask(OWNER, "PUT", "/projects/acme/members/groups/ops", {"role": "standard"})  # an invitation
    made = api.ask(PLATFORM, "POST", "/groups", {"name": "ops"})
    assert (made.status_code, made.json()) == (201, {"name": "ops", "users": [], "roles": {"acme": "standard"}})
    assert api.ask(PLATFORM, "POST", "/groups", {"name": "ops"}).status_code == 409
    assert [api.ask(PLATFORM, "PUT", "/groups/ops/users/stan").status_code for _ in range(2)] == [204, 204]
    assert api.ask(PLATFORM, "PUT", "/groups/ops/users/nora").status_code == 204
    assert listed(api) == [("ops", ["nora", "stan"], {"acme": "standard"})]
    assert [api.ask(PLATFORM, "DELETE", "/groups/ops/users/stan").status_code for _ in range(2)] == [204, 404]
    assert api.ask(PLATFORM, "DELETE", "/groups/ops").json() == {"name": "ops", "projects": ["acme"]}
    assert listed(api) == []
    assert "ops" not in api.roles()
    assert api.ask(PLATFORM, "POST", "/groups", {"name": "ops"}).json()["roles"] == {}
    assert [line[1:] for line in api.lines("") if line[1] != "group.add"] == [
        ("group.create", "done"), ("group.create", "refused"), ("group.remove", "done"), ("group.remove", "done"), ("group.delete", "done"), ("group.create", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "/groups/none", None, 404), ("PUT", "/groups/none/users/stan", None, 404), ("PUT", "/groups/ops/users/nobody-yet", None, 404),
        ("DELETE", "/groups/ops%00", None, 404), ("DELETE", "/groups/%20ops", None, 404), ("PUT", "/groups/ops/users/%00", None, 404), ("DELETE", "/groups/a%2Fb", None, 404),
        ("DELETE", "/groups/ops%2Fusers%2Fstan", None, 404), ("POST", "/groups", {"name": ""}, 422), ("POST", "/groups", {"name": "x" * 101}, 422), ("POST", "/groups", {"name": "a\x00"}, 422),
        ("POST", "/groups", {"name": "ops ", "users": ["stan"]}, 422), ("POST", "/groups", {"name": " ops"}, 422), ("POST", "/groups", {"name": ["ops"]}, 422),
    ],
)  # fmt: skip
def test_a_group_or_a_user_that_is_none(api: ApiServer, method: str, path: str, body: Any, status: int) -> None:
    api.ask(PLATFORM, "POST", "/groups", {"name": "ops"})
    answer = api.ask(PLATFORM, method, path, body)
    assert answer.status_code == status
    if "%" in path and "%2F" not in path:  # no name, so that no database is asked for it
        assert answer.json()["detail"] == "there is no such address"
    assert listed(api) == [("ops", [], {})]


def test_nobody_puts_themselves_into_a_group(api: ApiServer) -> None:
    api.ask(PLATFORM, "POST", "/groups", {"name": "demo-team"})
    for who in (OWNER, ADMINISTRATOR):
        for method, path in (("PUT", f"/groups/demo-team/users/{who}"), ("DELETE", "/groups/demo-team"), ("GET", "/groups")):
            told = api.ask(who, method, path)
            assert (told.status_code, "administrators" in told.json()["detail"]) == (403, True)
    assert listed(api) == [("demo-team", [], {"acme": "administrator"})]
