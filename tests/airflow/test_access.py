"""Every route of a running API server as six people: nothing of a project shows to who has no role in it. Source: PRODUCT.md P10, section 3."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from integrator.model.access import Kind, Role
from tests.airflow.access_table import (
    BODY,
    FORMS_OPEN,
    FORMS_OWN,
    GET,
    OPEN_CHANGES,
    OUR_BODY,
    OURS,
    PLATFORM_ONLY,
    QUERY,
    RUN,
    SKIPPED,
    TAKE_AWAY,
    TASKS,
    TASKS_OPEN,
)
from tests.services.people import (
    ADMINISTRATOR,
    EVERYBODY,
    MEMBERS,
    NEIGHBOUR,
    NOBODY,
    OWNER,
    PLATFORM,
    SECRET,
    STANDARD,
    STRANGERS,
    People,
    filled,
    people_of,
    routes_of,
    until,
)
from tests.services.platform import Platform

FORM = "/auth flask "
REFUSED = (401, 403, 404)


@pytest.fixture(scope="module")
def people(embedded_platform: Platform) -> Iterator[People]:
    with people_of(embedded_platform) as made:
        yield made


@pytest.fixture(scope="module")
def routes(people: People) -> list[tuple[str, str]]:
    return routes_of(people.platform)


def expected(who: str | None, row: tuple[int, int, int, int]) -> int:
    return row[0 if who is None else 1 if who == PLATFORM else 2 if who in MEMBERS else 3]


def test_every_route_has_a_row(routes: list[tuple[str, str]]) -> None:
    known = {("GET", path) for paths in GET.values() for path in paths} | {("GET", path) for path in SKIPPED}
    known |= {*RUN, *TAKE_AWAY, *PLATFORM_ONLY, *OPEN_CHANGES, *OURS}
    api = {one for one in routes if not one[1].startswith((TASKS, FORM))}
    assert len(api) > 150
    assert api - known == set(), "a route that nobody has decided about"
    assert {one for one in known - api if not one[1].startswith((TASKS, "/api/v1/", "/api/{", "/{"))} == set(), (
        "a row without a route"
    )


def test_what_is_read_is_ones_own(people: People) -> None:
    wrong, leaks = [], []
    for row, paths in GET.items():
        for path in paths:
            url = filled(path, people.things, QUERY.get(path))
            for who in (None, *EVERYBODY):
                status, text = people.ask(who, "GET", url)
                if status != expected(who, row):
                    wrong.append((path, who, status, text[:200]))
                if (who is None or who in STRANGERS) and people.marks_in(text):
                    leaks.append((path, who, people.marks_in(text)))
    assert leaks == []
    assert wrong == []


def test_our_own_api_says_what_the_table_says(people: People) -> None:
    wrong, leaks = [], []
    for (method, path), row in OURS.items():
        url = filled(path, people.things)
        for who, status in zip((None, *EVERYBODY), row, strict=True):
            got, text = people.ask(who, method, url, OUR_BODY.get((method, path)))
            if got != status:
                wrong.append((method, path, who, got, text[:300]))
            if who is None or who in STRANGERS:
                leaks += [
                    (method, path, who, mark) for mark in people.marks_in(text.replace(url, "")) if not path.endswith(".json")
                ]
    assert leaks == []
    assert wrong == []


def test_a_member_does_see_what_is_looked_for(people: People) -> None:
    """Otherwise the test above would look for what never shows."""
    for path in (
        "/api/v2/dags",
        "/ui/dags",
        "/api/v2/dagTags",
        "/ui/dependencies",
        "/api/v2/dags/demo.orders",
        f"/api/v2/eventLogs/{people.things['event_log_id']}",
    ):
        status, text = people.ask(STANDARD, "GET", path)
        assert (status, bool(people.marks_in(text) or "demo" in text)) == (200, True), path
    for path in ("/api/v2/connections", "/api/v2/variables", "/api/v2/pools", f"/api/v2/assets/{people.things['asset_id']}"):
        assert people.marks_in(people.ask(PLATFORM, "GET", path)[1]), path


@pytest.mark.parametrize("trick", ["any", "borrowed"])
def test_no_way_around_by_the_address(people: People, trick: str) -> None:
    """`~` for a DAG means all of one's own; a DAG of one's own beside what is asked for opens nothing."""
    leaks = []
    for paths in GET.values():
        for path in paths:
            things = {**people.things, "dag_id": "~"} if trick == "any" else people.things
            query = {**QUERY.get(path, {}), **({"dag_id": "other.stock"} if trick == "borrowed" else {})}
            for variant in (things, {**things, "dag_run_id": "~", "run_id": "~", "event_log_id": people.things["nameless"]}):
                status, text = people.ask(NEIGHBOUR, "GET", filled(path, variant, query))
                if people.marks_in(text) or status >= 500:
                    leaks.append((path, status, people.marks_in(text), text[:200]))
    assert leaks == []


def test_what_is_changed_is_ones_own(people: People) -> None:
    wrong = []
    for rows, refused in ((RUN, STRANGERS), (TAKE_AWAY, (*STRANGERS, STANDARD)), (PLATFORM_ONLY, (*STRANGERS, *MEMBERS))):
        for method, path in rows:
            for who in (None, *refused):
                status, text = people.ask(who, method, filled(path, people.things), BODY.get((method, path), {}))
                if status not in REFUSED or people.marks_in(text.replace("`demo__crm`", "")):
                    wrong.append((method, path, who, status, text[:200]))
    assert wrong == []


def test_members_run_and_pause_their_own(people: People) -> None:
    clear = {"dry_run": True, "only_failed": False, "dag_run_id": people.things["dag_run_id"]}
    for who in MEMBERS:
        assert people.ask(who, "PATCH", "/api/v2/dags/demo.orders.rerun", {"is_paused": True})[0] == 200
        assert people.ask(who, "PATCH", "/api/v2/dags/demo.orders.rerun", {"is_paused": False})[0] == 200
        assert people.ask(who, "POST", "/api/v2/dags/demo.orders/clearTaskInstances", clear)[0] == 200
        assert people.ask(who, "POST", "/api/v2/dags/~/dagRuns/list", {"dag_ids": ["demo.orders"]})[0] == 200
        assert people.ask(who, "DELETE", "/api/v2/dags/demo.orders/dagRuns/none")[0] == (403 if who == STANDARD else 404)


def test_a_persons_token_opens_nothing_that_tasks_ask(people: People, routes: list[tuple[str, str]]) -> None:
    asked = [one for one in routes if one[1].startswith(TASKS) and one[1] not in TASKS_OPEN]
    assert len(asked) > 30
    wrong = []
    for method, path in asked:
        for who in (None, PLATFORM, OWNER, NEIGHBOUR):
            status, text = people.ask(who, method, filled(path, people.things), {})
            if status not in (401, 403):
                wrong.append((method, path, who, status, text[:200]))
    assert wrong == []


@pytest.mark.parametrize("who", [OWNER, NEIGHBOUR])
def test_the_sign_ins_own_pages_show_only_ones_own_account(people: People, routes: list[tuple[str, str]], who: str) -> None:
    browser, wrong = people.browser(who), []
    forms = [(method, path.removeprefix(FORM)) for method, path in routes if path.startswith(FORM)]
    assert len(forms) > 40
    for method, rule in forms:
        if rule in FORMS_OPEN:
            continue
        path = (
            rule.replace("<pk>", "1").replace("<string:name>", "x").replace("<string:filename>", "x").replace("<group_by>", "x")
        )
        answer = browser.request(
            method, f"{people.platform.url}/auth{path}", data=browser.csrf, timeout=30, allow_redirects=False
        )
        own = rule in FORMS_OWN and method == "GET"
        if (answer.status_code == 200) is not own and not (rule in FORMS_OWN and method == "POST"):
            wrong.append((method, rule, answer.status_code))
        assert own or PLATFORM not in answer.text, rule
    assert wrong == []


def test_lines_of_the_event_log_that_belong_to_no_dag(people: People) -> None:
    line = f"/api/v2/eventLogs/{people.things['nameless']}"
    assert SECRET in people.ask(PLATFORM, "GET", line)[1]
    for who in (*MEMBERS, *STRANGERS):
        own = "demo.orders" if who in MEMBERS else "other.stock"
        for path in (
            line,
            f"{line}?dag_id={own}",
            f"{line}?dag_id=x&dag_id={own}",
            f"/api/v2/%65ventLogs/{people.things['nameless']}?dag_id={own}",
            "/api/v2/eventLogs",
        ):
            assert people.ask(who, "GET", path)[0] == 403, (who, path)
        status, text = people.ask(who, "GET", f"/api/v2/eventLogs?dag_id={own}&limit=1000")
        assert (status, SECRET in text) == ((403 if who == NOBODY else 200), False), who


def test_import_errors_are_the_platforms(people: People) -> None:
    for who in (*MEMBERS, *STRANGERS):
        for path in ("/api/v2/importErrors", "/api/v2/importErrors/1"):
            assert people.ask(who, "GET", path)[0] == 403


def test_nobody_makes_a_connection_a_variable_or_a_pool(people: People) -> None:
    """Airflow's check of a creation names nothing that could be looked at, so the project's own prefix does not help either."""
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "/api/v2/connections", {"connection_id": "demo__new", "conn_type": "http"}),
        ("POST", "/api/v2/connections/test", {"connection_id": "demo__crm", "conn_type": "http"}),
        ("POST", "/api/v2/variables", {"key": "demo__new", "value": "1"}),
        ("POST", "/api/v2/pools", {"name": "demo__new", "slots": 1}),
    ]
    for who in (*MEMBERS, *STRANGERS):
        for method, path, body in bodies:
            assert people.ask(who, method, path, body)[0] == 403
    assert (
        "demo__new" not in people.ask(PLATFORM, "GET", "/api/v2/connections")[1] + people.ask(PLATFORM, "GET", "/api/v2/pools")[1]
    )


def test_the_menu_holds_what_leads_somewhere(people: People) -> None:
    for who in (*MEMBERS, *STRANGERS):
        menu = json.loads(people.ask(who, "GET", "/ui/auth/menus")[1])
        assert (sorted(menu["authorized_menu_items"]), menu["extra_menu_items"]) == (["Dags", "Docs", "Required Actions"], [])
    assert len(json.loads(people.ask(PLATFORM, "GET", "/ui/auth/menus")[1])["authorized_menu_items"]) > 10


def test_counts_are_ones_own_too(people: People) -> None:
    for path in ("/api/v2/dags", "/api/v2/dagTags", "/api/v2/dags/~/dagRuns", "/api/v2/dags/~/dagRuns/~/taskInstances"):
        told = json.loads(people.ask(NOBODY, "GET", path)[1])
        assert told["total_entries"] == 0, path
    stats = json.loads(people.ask(NOBODY, "GET", "/ui/dashboard/dag_stats")[1])
    assert set(stats.values()) == {0}
    metrics = json.loads(people.ask(NOBODY, "GET", "/ui/dashboard/historical_metrics_data?start_date=2020-01-01T00:00:00Z")[1])
    assert not any(count for states in metrics.values() if isinstance(states, dict) for count in states.values())


def test_searches_and_lists_by_post_find_ones_own(people: People) -> None:
    for path in (
        "/ui/dags?dag_id_pattern=demo",
        "/api/v2/dags?dag_id_pattern=%25",
        "/api/v2/dags?tags=demo",
        "/api/v2/dagStats?dag_ids=demo.orders",
    ):
        status, text = people.ask(NEIGHBOUR, "GET", path)
        assert (status, people.marks_in(text)) == (200, []), path
    for path in ("/api/v2/dags/~/dagRuns/list", "/api/v2/dags/~/dagRuns/~/taskInstances/list"):
        for body in ({}, {"dag_ids": ["demo.orders"]}):
            status, text = people.ask(NEIGHBOUR, "POST", path, body)
            assert (status, people.marks_in(text)) == (200, []), path


def test_a_bulk_change_names_every_dag(people: People) -> None:
    task = f"/api/v2/dags/demo.orders/dagRuns/{people.things['dag_run_id']}/taskInstances/orders"
    entity = {"dag_id": "demo.orders", "dag_run_id": people.things["dag_run_id"], "task_id": "orders", "note": "crossed"}
    for dag_id in ("~", "other.stock"):
        body = {"actions": [{"action": "update", "entities": [entity]}]}
        people.ask(NEIGHBOUR, "PATCH", f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances", body)
        people.ask(
            NEIGHBOUR, "PATCH", f"/api/v2/dags/{dag_id}/dagRuns", {"actions": [{"action": "delete", "entities": [entity]}]}
        )
        assert people.ask(NEIGHBOUR, "POST", f"/api/v2/dags/{dag_id}/clearDagRuns", {"dag_runs": [entity]})[0] >= 400
    status, text = people.ask(OWNER, "GET", task)
    assert (status, "crossed" in text) == (200, False)


def test_what_belongs_to_no_project_is_the_platforms(people: People) -> None:
    assert people.ask(PLATFORM, "GET", "/api/v2/dags/integrator.upkeep")[0] == 200
    for who in (*MEMBERS, *STRANGERS):
        assert people.ask(who, "GET", "/api/v2/dags/integrator.upkeep")[0] == 403
        assert "integrator.upkeep" not in people.ask(who, "GET", "/api/v2/dags?limit=1000")[1]


def test_a_crafted_address_finds_nothing(people: People) -> None:
    for name in (
        "DEMO.orders",
        "%64emo.orders",
        "demo%2Eorders",
        "other.stock%2F..%2Fdemo.orders",
        "demo.orders%00",
        "demo.orders/",
        "%2e%2e/demo.orders",
        "demo.orders;x",
        "x" * 5000,
    ):
        for path in (f"/api/v2/dags/{name}", f"/ui/grid/runs/{name}"):
            status, text = people.ask(NEIGHBOUR, "GET", path)
            # What is no address of the API's gives the page's own HTML, which has nothing in it.
            assert status in (307, 403, 404) or text.lstrip().lower().startswith("<!doctype html"), (name, status)
            assert "paused" not in text and SECRET not in text, name


def test_a_file_with_dags_of_two_projects_shows_no_text(people: People) -> None:
    file = people.platform.dags / "two_projects.py"
    try:
        file.write_text(
            f"from airflow.sdk import DAG\n# {SECRET}\na = DAG('demo.both', schedule=None)\nb = DAG('other.both', schedule=None)\n",
            "utf-8",
        )
        people.platform.wait_for(lambda: people.platform.api("GET", "/dagSources/other.both")[0] == 200, 60)
        status, text = people.ask(NEIGHBOUR, "GET", "/api/v2/dagSources/other.both")
        assert (status, people.marks_in(text)) == (200, [])
        assert SECRET in people.ask(PLATFORM, "GET", "/api/v2/dagSources/other.both")[1]
    finally:
        file.unlink()


def test_what_is_revoked_is_gone_at_the_next_request_with_the_same_token(people: People) -> None:
    path = "/api/v2/dags/demo.orders"
    assert people.ask(STANDARD, "GET", path)[0] == 200
    people.members.revoke("demo", Kind.USER, STANDARD)
    assert people.ask(STANDARD, "GET", path)[0] == 403
    people.members.grant("demo", Kind.USER, STANDARD, Role.STANDARD, "test")
    assert people.ask(STANDARD, "GET", path)[0] == 200
    for who, seen, table in ((ADMINISTRATOR, path, "ab_user_group"), (PLATFORM, "/api/v2/connections", "ab_user_role")):
        assert people.ask(who, "GET", seen)[0] == 200
        with people.without(table, who):
            assert people.ask(who, "GET", seen)[0] == 403
        assert people.ask(who, "GET", seen)[0] == 200


def test_a_user_who_is_switched_off_sees_nothing_more(people: People) -> None:
    assert people.ask(OWNER, "GET", "/api/v2/dags/demo.orders")[0] == 200
    with people.switched_off(OWNER):
        assert people.ask(OWNER, "GET", "/api/v2/dags/demo.orders")[0] == 403
        assert until(lambda: people.ask(OWNER, "GET", "/ui/auth/me")[0] == 403, 10) < 6


def test_a_token_says_who_and_not_what(people: People) -> None:
    part = people.token(OWNER).split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert set(told) <= {"sub", "sid", "aud", "iss", "iat", "nbf", "exp", "jti"}
