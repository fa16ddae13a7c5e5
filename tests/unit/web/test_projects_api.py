"""The API of projects and members: what each role may, what does not show, and what is noted. Source: PRODUCT.md P10, section 3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.api_server import (
    ADMINISTRATOR,
    EVERYBODY,
    NEIGHBOUR,
    NOBODY,
    OWNER,
    PLATFORM,
    STANDARD,
    ApiServer,
)

# method, path, body -> status for platform, owner, administrator, standard, neighbour, nobody
ASKED: list[tuple[str, str, Any, tuple[int, ...]]] = [
    ("GET", "/projects", None, (200, 200, 200, 200, 200, 200)),
    ("POST", "/projects", {"name": "brandnew", "owner": "nora"}, (201, 403, 403, 403, 403, 403)),
    ("GET", "/projects/acme", None, (200, 200, 200, 200, 404, 404)),
    ("PATCH", "/projects/acme", {"plan": "trial"}, (200, 200, 200, 403, 404, 404)),
    ("DELETE", "/projects/acme?confirm=acme", None, (200, 200, 403, 403, 404, 404)),
    ("POST", "/projects/acme/transfer", {"to": "nora"}, (200, 200, 403, 403, 404, 404)),
    ("GET", "/projects/acme/members", None, (200, 200, 200, 200, 404, 404)),
    ("PUT", "/projects/acme/members/users/nora", {"role": "standard"}, (200, 200, 200, 403, 404, 404)),
    ("PUT", "/projects/acme/members/users/stan", {"role": "administrator"}, (200, 200, 200, 403, 404, 404)),
    ("PUT", "/projects/acme/members/groups/ops", {"role": "administrator"}, (200, 200, 200, 403, 404, 404)),
    ("PUT", "/projects/acme/members/users/olga", {"role": "standard"}, (409, 409, 409, 403, 404, 404)),
    ("DELETE", "/projects/acme/members/users/olga", None, (409, 409, 409, 403, 404, 404)),
    ("DELETE", "/projects/acme/members/users/stan", None, (204, 204, 204, 403, 404, 404)),
    ("DELETE", "/projects/acme/members/groups/stan", None, (404, 404, 404, 403, 404, 404)),
    ("GET", "/projects/acme/audit", None, (200, 200, 200, 403, 404, 404)),
    ("GET", "/audit", None, (200, 403, 403, 403, 403, 403)),
    ("GET", "/projects/acme/credentials", None, (200, 200, 200, 200, 404, 404)),
    ("GET", "/projects/acme/credentials/shop", None, (200, 200, 200, 200, 404, 404)),
    (
        "POST",
        "/projects/acme/credentials",
        {"name": "a", "scheme": "none", "base_url": "https://shop.example.com"},
        (201, 201, 201, 201, 404, 404),
    ),
    (
        "POST",
        "/projects/acme/credentials",
        {"name": "a", "scheme": "none", "base_url": "https://new.example.com"},
        (201, 201, 201, 403, 404, 404),
    ),
    ("PATCH", "/projects/acme/credentials/shop", {"fields": {"username": "bob"}}, (200, 200, 200, 200, 404, 404)),
    ("DELETE", "/projects/acme/credentials/shop", None, (204, 204, 204, 204, 404, 404)),
    ("GET", "/groups", None, (200, 403, 403, 403, 403, 403)),
    ("POST", "/groups", {"name": "ops"}, (201, 403, 403, 403, 403, 403)),
    ("DELETE", "/groups/ops", None, (404, 403, 403, 403, 403, 403)),
    ("PUT", "/groups/ops/users/stan", None, (404, 403, 403, 403, 403, 403)),
    ("DELETE", "/groups/ops/users/stan", None, (404, 403, 403, 403, 403, 403)),
    ("GET", "/openapi.json", None, (200, 200, 200, 200, 200, 200)),
]
ACTIONS = {
    "POST /projects": "project.create",
    "POST /projects/acme/transfer": "project.transfer",
    "DELETE /projects/acme?confirm=acme": "project.delete",
    "PATCH": "project.configure",
    "PUT": "project.grant",
    "DELETE": "project.revoke",
    "POST /projects/acme/credentials": "credential.keep",
    "PATCH /projects/acme/credentials/shop": "credential.keep",
    "DELETE /projects/acme/credentials/shop": "credential.remove",
    "POST /groups": "group.create",
    "DELETE /groups/ops": "group.delete",
    "PUT /groups/ops/users/stan": "group.add",
    "DELETE /groups/ops/users/stan": "group.remove",
}


@pytest.mark.parametrize(("method", "path", "body", "statuses"), ASKED, ids=[f"{m} {p}" for m, p, *_ in ASKED])
def test_the_role_decides_and_both_ways_are_noted(
    api: ApiServer, method: str, path: str, body: Any, statuses: tuple[int, ...]
) -> None:
    assert api.ask(None, method, path, body).status_code == 401
    for who, status in zip(EVERYBODY, statuses, strict=True):
        api.begin()
        before = api.roles(), api.roles("other"), api.roles("brandnew")
        answer = api.ask(who, method, path, body)
        assert answer.status_code == status, (who, answer.text)
        if method == "GET":
            continue
        action = ACTIONS.get(f"{method} {path}") or ACTIONS[method]
        lines = api.lines()
        assert [line[:2] for line in lines] == [(who, action)], lines
        tried = (
            status == 404 and path.endswith("members/groups/stan") and who in (PLATFORM, OWNER, ADMINISTRATOR)
        )  # and found nobody
        assert lines[0][2] == ("done" if status < 400 or tried else "refused")
        if status >= 400:
            assert (api.roles(), api.roles("other"), api.roles("brandnew")) == before


def test_what_is_foreign_is_answered_as_what_is_not_there(api: ApiServer) -> None:
    """Word for word, header for header, but for the name that was asked for."""
    for method, rest, body in (
        ("GET", "", None), ("GET", "/members", None), ("GET", "/audit", None), ("DELETE", "?confirm=x", None), ("POST", "/transfer", {"to": "x"}),
        ("PUT", "/members/users/x", {"role": "standard"}), ("DELETE", "/members/users/x", None), ("PUT", "/members/users/x", {"role": "king"}),
    ):  # fmt: skip
        for who in (NEIGHBOUR, NOBODY):
            there, not_there, made_up = (
                api.ask(who, method, f"/projects/{name}{rest}", body) for name in ("acme", "acne", "wild")
            )
            for one in (there, not_there, made_up):
                assert one.status_code == 404
            shown = {one.text.replace(name, "X") for one, name in ((there, "acme"), (not_there, "acne"), (made_up, "wild"))}
            assert len(shown) == 1, shown
            assert {*there.headers} == {*not_there.headers}


def test_an_attempt_by_a_stranger_stands_in_the_projects_audit_and_a_made_up_name_gets_none(api: ApiServer) -> None:
    api.ask(NEIGHBOUR, "PUT", "/projects/acme/members/users/nora", {"role": "administrator"})
    api.ask(NEIGHBOUR, "PUT", "/projects/acne/members/users/nora", {"role": "administrator"})
    api.ask(NEIGHBOUR, "PUT", "/projects/%00x/members/users/nora", {"role": "administrator"})
    assert api.lines("acme") == [(NEIGHBOUR, "project.grant", "refused")]
    assert api.lines("") == [(NEIGHBOUR, "project.grant", "refused")] * 2
    assert api.parts.audit.projects() == ["", "acme"]


def test_projects_are_listed_with_ones_role_and_the_platform_sees_what_nobody_owns(api: ApiServer) -> None:
    def listed(who: str) -> list[tuple[Any, ...]]:
        return [(one["name"], one["role"], one["owner"]) for one in api.ask(who, "GET", "/projects").json()["projects"]]

    assert listed(STANDARD) == [("acme", "standard", OWNER)]
    assert listed(ADMINISTRATOR) == [("acme", "administrator", OWNER)]
    assert listed(NOBODY) == []
    assert listed(PLATFORM) == [("acme", None, OWNER), ("other", None, NEIGHBOUR), ("wild", None, None)]
    assert (
        api.ask(PLATFORM, "GET", "/projects/wild").json()
        == {"name": "wild", "role": None, "owner": None} | api.ask(PLATFORM, "GET", "/projects/wild").json()
    )
    refused = api.ask(PLATFORM, "PUT", "/projects/wild/members/users/x", {"role": "standard"})
    assert (refused.status_code, "create it first" in refused.json()["detail"]) == (409, True)


def test_a_project_is_made_given_on_and_deleted(api: ApiServer) -> None:
    made = api.ask(PLATFORM, "POST", "/projects", {"name": "wild", "owner": "wilma"})
    assert (made.status_code, made.headers["Location"]) == (201, "/integrator/v1/projects/wild")
    assert api.ask("wilma", "GET", "/projects/wild").json()["role"] == "owner"
    assert "has an owner: wilma" in api.ask(PLATFORM, "POST", "/projects", {"name": "wild", "owner": "x"}).json()["detail"]
    given = api.ask("wilma", "PUT", "/projects/wild/members/groups/a%2Fb%20c", {"role": "administrator"}).json()
    assert (given["kind"], given["name"], given["role"], given["given_by"]) == ("group", "a/b c", "administrator", "wilma")
    told = api.ask("wilma", "POST", "/projects/wild/transfer", {"to": "walt"}).json()
    assert told == {"name": "wild", "owner": "walt", "before": "wilma"}
    shown = [(one["name"], one["role"]) for one in api.ask("wilma", "GET", "/projects/wild/members").json()["members"]]
    assert shown == [("walt", "owner"), ("wilma", "administrator"), ("a/b c", "administrator")]
    assert api.ask("wilma", "DELETE", "/projects/wild?confirm=wild").status_code == 403
    for confirm in ("", "?confirm=Wild", "?confirm=acme"):
        assert api.ask("walt", "DELETE", f"/projects/wild{confirm}").status_code == 422
    gone = api.ask("walt", "DELETE", "/projects/wild?confirm=wild").json()
    assert gone == {"name": "wild", "deleted": {}, "airflow": False}
    assert api.ask("walt", "GET", "/projects/wild").status_code == 404
    assert api.roles("wild") == {}


def test_a_projects_configuration_is_changed_field_by_field(api: ApiServer) -> None:
    assert api.ask(STANDARD, "GET", "/projects/acme").json()["configuration"]["plan"] == "standard"
    changed = {"plan": "business", "console": "reason", "alerts": {"on": "any", "email": ["ops@example.com"]}}
    told = api.ask(ADMINISTRATOR, "PATCH", "/projects/acme", changed).json()
    assert (told["name"], told["role"], told["owner"]) == ("acme", "administrator", OWNER)
    told = api.ask(OWNER, "PATCH", "/projects/acme", {"alerts": {"slack": "chat"}, "console": None}).json()["configuration"]
    assert (told["plan"], told["console"]) == ("business", "allow")
    assert told["alerts"] == {"on": "any", "email": ["ops@example.com"], "slack": "chat", "webhook": None}
    assert api.ask(STANDARD, "GET", "/projects/acme").json()["configuration"] == told
    assert api.ask(OWNER, "PATCH", "/projects/acme", {}).json()["configuration"] == told
    refused = api.ask(OWNER, "PATCH", "/projects/acme", {"plan": "buisness", "colour": "red", "alerts": {"onn": 1}})
    assert refused.status_code == 422
    assert {one["field"] for one in refused.json()["errors"]} == {"body.colour", "body.alerts.onn"}
    refused = api.ask(OWNER, "PATCH", "/projects/acme", {"plan": "buisness"}).json()
    assert refused["errors"] == [{"field": "body.plan", "fault": "there is no plan 'buisness'; did you mean 'business'?"}]
    line = next(api.parts.audit.lines("acme", action="project.configure"))
    assert (line.line.actor, line.line.came, line.line.detail["error"]) == (OWNER, "refused", "FieldsError")


def test_what_is_given_or_taken_holds_at_the_next_request(api: ApiServer) -> None:
    assert api.ask(NOBODY, "GET", "/projects/acme").status_code == 404
    api.ask(OWNER, "PUT", f"/projects/acme/members/users/{NOBODY}", {"role": "standard"})
    assert api.ask(NOBODY, "GET", "/projects/acme").status_code == 200
    api.ask(OWNER, "DELETE", f"/projects/acme/members/users/{NOBODY}")
    assert api.ask(NOBODY, "GET", "/projects/acme").status_code == 404


def test_nobody_makes_themselves_the_owner(api: ApiServer) -> None:
    for who in (ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY):
        for body in ({"role": "owner"}, {"role": "OWNER"}, {"role": "standard", "owner": True}, {"role": ["owner"]}):
            assert api.ask(who, "PUT", f"/projects/acme/members/users/{who}", body).status_code in (404, 422)
        assert api.ask(who, "POST", "/projects", {"name": "acme", "owner": who}).status_code == 403
        assert api.ask(who, "POST", "/projects/acme/transfer", {"to": who}).status_code in (403, 404)
    assert api.roles() == {OWNER: "owner", STANDARD: "standard", "demo-team": "administrator"}
    assert api.ask(OWNER, "PUT", "/projects/acme/members/users/adam", {"role": "owner"}).status_code == 422


@pytest.mark.parametrize(
    ("name", "noted"),
    [
        ("cli:root", "user:cli:root"),
        ("upkeep", "user:upkeep"),
        ("link", "user:link"),
        ("user:boss", "user:user:boss"),
        ("ann", "ann"),
    ],
)
def test_no_user_is_taken_for_somebody_else_in_the_audit(api: ApiServer, name: str, noted: str) -> None:
    api.ask(name, "POST", "/projects", {"name": "mine", "owner": name})
    assert api.lines() == [(noted, "project.create", "refused")]
