"""The API of projects on a running platform: Airflow's own sign-in says who asks, by token and by cookie. Source: PRODUCT.md P10, P15."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from integrator.model.access import Kind, Role
from integrator.web.asking import COOKIE
from tests.services.demo import ROOT
from tests.services.people import ADMINISTRATOR, NEIGHBOUR, NOBODY, OWNER, PASSWORD, PLATFORM, STANDARD, People, people_of, until
from tests.services.platform import Platform


@pytest.fixture(scope="module")
def people(embedded_platform: Platform) -> Iterator[People]:
    with people_of(embedded_platform) as made:
        yield made


def ask(people: People, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    sent = {"Authorization": f"Bearer {people.token(who)}", **headers} if who else headers
    return requests.request(method, f"{people.platform.url}/integrator/v1{path}", json=body, headers=sent, timeout=60)


def test_who_is_not_signed_in_is_told_how(people: People) -> None:
    token = people.token(OWNER)
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer {token[:-3]}abc"},
        {"Authorization": "Basic b2xnYTp4"},
        {"Cookie": f"{COOKIE}=x"},
    ):
        answer = ask(people, None, "GET", "/projects", **headers)
        assert (answer.status_code, answer.headers.get("WWW-Authenticate")) == (401, 'Bearer realm="integrator"'), headers
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["type"].endswith(":not-signed-in")


def test_projects_are_those_of_ones_roles_and_a_folder_that_nobody_owns_is_the_platforms(people: People) -> None:
    people.members.forget("other")
    try:
        listed = {one["name"]: one for one in ask(people, PLATFORM, "GET", "/projects").json()["projects"]}
        assert (listed["demo"]["owner"], listed["other"]["owner"]) == (OWNER, None)
        assert ask(people, PLATFORM, "GET", "/projects/other").status_code == 200
        assert ask(people, NEIGHBOUR, "GET", "/projects/other").status_code == 404
        made = ask(people, PLATFORM, "POST", "/projects", {"name": "other", "owner": NEIGHBOUR})
        assert made.status_code == 201, made.text
        assert [one["name"] for one in ask(people, NEIGHBOUR, "GET", "/projects").json()["projects"]] == ["other"]
    finally:
        people.members.transfer("other", NEIGHBOUR, "test")
    for who, role in ((OWNER, "owner"), (ADMINISTRATOR, "administrator"), (STANDARD, "standard")):
        assert ask(people, who, "GET", "/projects").json()["projects"] == [{"name": "demo", "role": role, "owner": OWNER}]


def test_what_is_given_holds_at_the_next_request_with_the_same_token_and_is_noted(people: People) -> None:
    assert ask(people, NOBODY, "GET", "/projects/demo").status_code == 404
    given = ask(people, ADMINISTRATOR, "PUT", f"/projects/demo/members/users/{NOBODY}", {"role": "standard"})
    assert (given.status_code, given.json()["given_by"]) == (200, ADMINISTRATOR)
    assert ask(people, NOBODY, "GET", "/projects/demo").status_code == 200
    assert people.ask(NOBODY, "GET", "/api/v2/dags/demo.orders")[0] == 200
    assert ask(people, STANDARD, "DELETE", f"/projects/demo/members/users/{NOBODY}").status_code == 403
    assert ask(people, ADMINISTRATOR, "DELETE", f"/projects/demo/members/users/{NOBODY}").status_code == 204
    assert ask(people, NOBODY, "GET", "/projects/demo").status_code == 404
    lines = ask(people, OWNER, "GET", "/projects/demo/audit?limit=3&action=project.").json()["lines"]
    assert [(one["actor"], one["action"], one["came"], one["origin"], one["target"]) for one in lines] == [
        (ADMINISTRATOR, "project.revoke", "done", "127.0.0.1", f"user:{NOBODY}"), (STANDARD, "project.revoke", "refused", "127.0.0.1", f"user:{NOBODY}"),
        (ADMINISTRATOR, "project.grant", "done", "127.0.0.1", f"user:{NOBODY}"),
    ]  # fmt: skip


def test_a_change_by_airflows_cookie_comes_from_our_own_pages(people: People) -> None:
    path, body = f"/projects/demo/members/users/{NOBODY}", {"role": "standard"}
    cookie = {"Cookie": f"{COOKIE}={people.token(OWNER)}"}
    assert ask(people, None, "GET", "/projects/demo", **cookie).json()["role"] == "owner"
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": people.platform.url},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = ask(people, None, "PUT", path, body, **cookie, **headers)
        assert answer.status_code == 403, headers
    # Who says nothing of where they come from gets past the check of the whole server, and not past the API's own.
    assert ask(people, None, "PUT", path, body, **cookie).json()["type"].endswith(":foreign-origin")
    assert ask(people, NOBODY, "GET", "/projects/demo").status_code == 404
    try:
        assert ask(people, None, "PUT", path, body, **cookie, Origin=people.platform.url).status_code == 200
        assert ask(people, None, "PUT", path, body, **cookie, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200
    finally:
        people.members.revoke("demo", Kind.USER, NOBODY)


def test_who_is_switched_off_or_loses_a_role_is_refused(people: People) -> None:
    assert ask(people, OWNER, "GET", "/projects/demo").status_code == 200
    with people.switched_off(OWNER):
        assert ask(people, OWNER, "GET", "/projects/demo").status_code in (401, 404)
        assert until(lambda: ask(people, OWNER, "GET", "/projects").status_code == 401, 10) < 6
    assert until(lambda: ask(people, OWNER, "GET", "/projects/demo").status_code == 200, 10) < 6
    with people.without("ab_user_group", ADMINISTRATOR):
        assert ask(people, ADMINISTRATOR, "GET", "/projects/demo").status_code == 404
    with people.without("ab_user_role", PLATFORM):
        assert ask(people, PLATFORM, "GET", "/audit").status_code == 403
    assert ask(people, PLATFORM, "GET", "/audit?limit=1").status_code == 200


def test_a_project_is_deleted_with_what_airflow_keeps_of_its_runs(people: People) -> None:
    """The pipe of project `other` has no run; that the way to Airflow's rows is there is what this looks at."""
    try:
        assert ask(people, NEIGHBOUR, "DELETE", "/projects/other?confirm=other").json() == {
            "name": "other",
            "deleted": {},
            "airflow": True,
        }
        assert ask(people, NEIGHBOUR, "GET", "/projects/other").status_code == 404
        assert ask(people, PLATFORM, "GET", "/projects/other").json()["owner"] is None
    finally:
        people.members.create("other", NEIGHBOUR, "test")


def test_the_demo_itself_is_not_deleted_while_it_runs_or_without_its_name(people: People) -> None:
    assert ask(people, OWNER, "DELETE", "/projects/demo").status_code == 422
    assert ask(people, ADMINISTRATOR, "DELETE", "/projects/demo?confirm=demo").status_code == 403
    people.members.grant("demo", Kind.USER, STANDARD, Role.STANDARD, "test")


def test_what_the_page_of_the_api_shows_is_what_works(people: People, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    script = "".join(part.partition("```")[0] for part in page.split("```sh\n")[1:]).replace(
        "http://localhost:8080", people.platform.url
    )
    (tmp_path / "sign-in").write_text(f"{OWNER} {PASSWORD}\n", "utf-8")
    done = subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"plan":"business"' in done.stdout
    assert '"username":"integrator-2"' in done.stdout
    assert "one-of-your-own" not in done.stdout
    assert (tmp_path / "audit.csv").read_text("utf-8").startswith("at,project,number,actor,action")
    assert ask(people, OWNER, "GET", "/projects/demo").json()["configuration"]["plan"] == "standard"


def test_airflows_names_are_as_we_write_them() -> None:
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    assert COOKIE == COOKIE_NAME_JWT_TOKEN
