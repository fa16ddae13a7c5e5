"""The audit over HTTP: page by page without a gap, or whole as CSV that no spreadsheet takes for a formula, or as JSON lines. Source: PRODUCT.md P15."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrator.actions.auditing import as_csv
from integrator.model.audit import Came, Line, Written
from tests.services.api_server import ADMINISTRATOR, NEIGHBOUR, OWNER, PLATFORM, STANDARD, ApiServer

FORMULA = "=cmd|'/c calc'!A1"


def note(api: ApiServer, project: str, *actors: str, action: str = "pipe.run", target: str = "x") -> None:
    for actor in actors:
        api.parts.audit.add(Line(actor, action, project, target, "192.0.2.1", Came.DONE, {"rows": 3}))


def read(api: ApiServer, who: str, path: str = "/projects/acme/audit", **query: Any) -> list[dict[str, Any]]:
    """Read page after page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = api.ask(who, "GET", path, params=query)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert len(told["lines"]) <= query.get("limit", 100)
        found += told["lines"]
        if told["next"] is None:
            return found
        query["cursor"] = told["next"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_every_line_is_read_once_the_newest_first_while_more_are_written(api: ApiServer, limit: int) -> None:
    note(api, "acme", *(f"a{n}" for n in range(7)))
    note(api, "other", "somebody")
    first = api.ask(OWNER, "GET", "/projects/acme/audit", params={"limit": limit}).json()
    note(api, "acme", "late")
    rest = read(api, OWNER, limit=limit, cursor=first["next"]) if first["next"] else []
    assert [one["actor"] for one in [*first["lines"], *rest]] == [f"a{n}" for n in reversed(range(7))]
    assert {one["project"] for one in read(api, ADMINISTRATOR, limit=limit)} == {"acme"}
    assert len(read(api, PLATFORM, "/audit", limit=limit)) == 9


def test_lines_of_one_instant_in_several_projects_are_each_read_once(api: ApiServer) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    api.parts.audit._now, kept = (lambda: at), api.parts.audit._now
    try:
        for _ in range(3):
            for project in ("acme", "other", ""):
                note(api, project, "ann")
    finally:
        api.parts.audit._now = kept
    found = [(one["project"], one["number"]) for one in read(api, PLATFORM, "/audit", limit=2)]
    assert sorted(found) == sorted((p, n) for p in ("acme", "other", "") for n in (1, 2, 3))


def test_lines_are_chosen_by_time_person_and_action(api: ApiServer) -> None:
    note(api, "acme", "ann", action="console.link")
    note(api, "acme", "bob", "ann", action="console.show")
    note(api, "acme", "ann", action="pipe.run")
    now = datetime.now(UTC)
    assert len(read(api, OWNER, action="console")) == 3
    assert len(read(api, OWNER, action="console.show", actor="ann")) == 1
    assert len(read(api, OWNER, since=(now - timedelta(hours=1)).isoformat(), until=(now + timedelta(hours=1)).isoformat())) == 4
    assert read(api, OWNER, since=(now + timedelta(hours=1)).isoformat()) == []
    assert read(api, OWNER, actor="%") == read(api, OWNER, action="_") == read(api, OWNER, actor="' OR 1=1 --") == []
    assert [one["project"] for one in read(api, PLATFORM, "/audit", project="", actor="ann")] == []
    assert len(read(api, PLATFORM, "/audit", project="acme")) == 4


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-01-31", "since=yesterday", "since=0001-01-01T00:00:00%2B23:59", "until=9999-12-31T23:59:59-23:59", "since=2026-01-31T00:00:00",
        "limit=0", "limit=1001", "limit=-1", "limit=1e3", "limit=99999999999999999999", "actor=%00", "action=a%00", "actor=" + "x" * 301, "cursor=x", "cursor=%00",
        "cursor=" + "A" * 1001, "cursor=" + base64.urlsafe_b64encode(b"[" * 600).decode(), "cursor=W10", "cursor=" + base64.urlsafe_b64encode(b'["2026-01-01T00:00:00+00:00","acme",true]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b'["2026-01-01T00:00:00+00:00","a\\u0000",1]').decode(), "cursor=" + base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+23:00","acme",1]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b'["2026-01-01T00:00:00+00:00","acme",1e400]').decode(), "cursor=" + base64.urlsafe_b64encode(b'["2026-01-01T00:00:00+00:00",["acme"],1]').decode(),
        "since=\ud83d",
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(api: ApiServer, query: str) -> None:
    note(api, "acme", "ann")
    query = query.encode("utf-8", "replace").decode()
    for path, who in (("/projects/acme/audit", OWNER), ("/audit", PLATFORM)):
        assert api.ask(who, "GET", f"{path}?{query}").status_code == 422


def test_a_cursor_of_another_project_opens_nothing(api: ApiServer) -> None:
    note(api, "acme", *["ann"] * 3)
    note(api, "other", *["olaf"] * 3)
    cursor = api.ask(PLATFORM, "GET", "/audit?limit=1").json()["next"]
    foreign = read(api, NEIGHBOUR, "/projects/other/audit", cursor=cursor)
    assert {one["actor"] for one in foreign} == {"olaf"}
    assert {one["project"] for one in read(api, OWNER, cursor=cursor)} == {"acme"}
    # Beside the address nothing says whose lines are meant.
    assert {one["project"] for one in read(api, NEIGHBOUR, "/projects/other/audit", project="acme")} == {"other"}


def test_an_export_has_every_line_and_no_formula_and_is_noted(api: ApiServer) -> None:
    note(api, "acme", *["ann"] * 1201, target="t")
    for bad in (FORMULA, "+1", "-1", "@x", " =1", "\tx", "\uff1d1", 'a","=1'):
        note(api, "acme", bad, target=bad)
    answer = api.ask(OWNER, "GET", "/projects/acme/audit", headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-acme.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 1201 + 8 + 1
    assert (rows[0]["action"], rows[0]["actor"], rows[0]["target"]) == ("audit.export", OWNER, "acme")
    for row in rows:
        for cell in row.values():
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\uff1d")), row
    lines = api.ask(ADMINISTRATOR, "GET", "/projects/acme/audit?action=pipe&limit=1", headers={"Accept": "application/x-ndjson"})
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert len(told) == 1209
    assert FORMULA in {one["actor"] for one in told}  # as it is: JSON is no spreadsheet
    assert (
        api.ask(PLATFORM, "GET", "/audit", headers={"Accept": "text/csv"})
        .headers["Content-Disposition"]
        .endswith('"audit-platform.csv"')
    )
    assert [(one.line.actor, one.line.project, one.line.detail.get("action")) for one in api.parts.audit.lines(action="audit.export")][::-1] == [
        (OWNER, "acme", None), (ADMINISTRATOR, "acme", "pipe"), (PLATFORM, "", None),
    ]  # fmt: skip
    for who, status in ((STANDARD, 403), (NEIGHBOUR, 404)):
        assert api.ask(who, "GET", "/projects/acme/audit", headers={"Accept": "text/csv"}).status_code == status


@pytest.mark.parametrize(
    ("accept", "given_as"),
    [
        ("", "json"), ("*/*", "json"), ("application/json", "json"), ("text/csv", "csv"), ("TEXT/CSV", "csv"), ("application/x-ndjson", "x-ndjson"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"), ("application/json;q=0.1, text/csv", "csv"), ("text/csv;q=0, */*", "json"), ("image/png", None),
        ("text/csv;q=x", None), (",,,", None), ("text/csv;q=nan", None), (";" * 5000, None),
    ],
)  # fmt: skip
def test_what_is_accepted_is_given(api: ApiServer, accept: str, given_as: str | None) -> None:
    answer = api.ask(OWNER, "GET", "/projects/acme/audit", headers={"Accept": accept})
    if given_as is None:
        assert answer.status_code == 406
    else:
        assert answer.headers["Content-Type"].partition(";")[0].endswith(given_as)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_cell_of_the_csv_begins_a_formula_and_none_leaves_its_row(actor: str, target: str) -> None:
    one = Written(1, datetime(2026, 1, 1, tzinfo=UTC), "d", Line(actor, "a.b", "acme", target, detail={"x": target}))
    rows = list(csv.reader(io.StringIO(as_csv([one], header=True), newline="")))
    assert [len(row) for row in rows] == [9, 9]
    for cell in rows[1]:
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
