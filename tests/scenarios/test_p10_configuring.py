"""P10: what a project wants is changed by its owner and its administrators only, and each change is noted with what it is now."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, delete

from integrator.actions.acting import Acting
from integrator.actions.configuring import Configuring
from integrator.actions.who import Who
from integrator.cli import cli
from integrator.errors import ConfigError, FieldsError, NotAMemberError, RoleTooLowError
from integrator.model.access import Role
from integrator.model.alerts import Alerts
from integrator.model.console import Content, Switch
from integrator.model.project import ConsolePolicy, Wants, plans_of
from integrator.store.audit import SqlAudit
from integrator.store.console import SqlConsole
from integrator.store.database import writing
from integrator.store.projects import SqlProjects
from integrator.store.tables import audit_lines, console_switches, projects

ROLES = {"olga": Role.OWNER, "ada": Role.ADMINISTRATOR, "stan": Role.STANDARD}


class Site:
    """What projects want, over one database."""

    def __init__(self, engine: Engine) -> None:
        with writing(engine) as c:
            for table in (projects, audit_lines, console_switches):
                c.execute(delete(table))
        self.engine = engine
        self.audit, self.projects = SqlAudit(engine, b"key"), SqlProjects(engine)
        self.configuring = Configuring(self.projects, plans_of(""))

    def who(self, name: str) -> Who:
        roles = {"acme": ROLES[name]} if name in ROLES else {}
        return Who(Acting(name, "192.0.2.1", self.audit), name == "root", roles)

    def change(self, name: str, **given: object) -> Wants:
        return self.configuring.change(self.who(name), "acme", given)


@pytest.fixture
def site(emptied_engine: Engine) -> Site:
    return Site(emptied_engine)


@pytest.mark.parametrize(
    ("name", "refused"), [("olga", None), ("ada", None), ("root", None), ("stan", RoleTooLowError), ("nora", NotAMemberError)]
)
def test_the_role_decides_and_both_ways_are_noted(site: Site, name: str, refused: type[Exception] | None) -> None:
    if refused is None:
        assert site.change(name, console="forbid").console is ConsolePolicy.FORBID
    else:
        with pytest.raises(refused):
            site.change(name, console="forbid")
        assert site.projects.wants("acme") == Wants()
    line = next(site.audit.lines()).line
    assert (line.actor, line.action, line.came.value) == (name, "project.configure", "refused" if refused else "done")
    assert line.detail == ({"error": refused.__name__} if refused else {"console": "forbid"})


def test_members_see_it_and_nobody_else(site: Site) -> None:
    site.change("olga", plan="trial")
    for name in (*ROLES, "root"):
        assert site.configuring.show(site.who(name), "acme").plan == "trial"
    with pytest.raises(NotAMemberError):
        site.configuring.show(site.who("nora"), "acme")


def test_what_is_left_out_stays_and_null_is_as_usual(site: Site) -> None:
    site.change("ada", console="reason", plan="business", alerts={"on": "any", "email": ["ops@example.com"], "slack": "slack"})
    wants = site.change("ada", plan=None, alerts={"slack": None})
    assert wants == Wants(console=ConsolePolicy.REASON, alerts=Alerts(on="any", email=("ops@example.com",)))  # type: ignore[arg-type]
    assert site.change("ada", alerts=None).alerts == Alerts()
    assert site.projects.wants("acme") == Wants(console=ConsolePolicy.REASON)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"consol": "allow"}, "consol", "did you mean 'console'"),
    ({"console": "maybe"}, "console", "'allow', 'reason' or 'forbid'"),
    ({"console": 1}, "console", "'allow'"),
    ({"plan": "gold"}, "plan", "there is no plan 'gold'"),
    ({"plan": ["trial"]}, "plan", "string"),
    ({"alerts": {"email": ["nobody"]}}, "alerts.email.0", "no e-mail address"),
    ({"alerts": {"emial": []}}, "alerts.emial", "did you mean 'email'"),
    ({"alerts": {"slack": "A B"}}, "alerts.slack", "pattern"),
    ({"alerts": "me"}, "alerts", "dictionary"),
    ({"zone": "Europe/berlin"}, "zone", "no IANA time zone, such as"),
    ({"zone": "../../etc/passwd"}, "zone", "no IANA time zone"),
    ({"zone": "localtime"}, "zone", "no IANA time zone"),
    ({"zone": ""}, "zone", "no IANA time zone"),
    ({"zone": 1}, "zone", "string"),
    ({"egress": ["api.example.com", "https://x.example"]}, "egress", "a host is a name such as"),
    ({"egress": "api.example.com"}, "egress", "list"),
    ({"egress": ["*"]}, "egress", "a host is a name such as"),
    ({"production": "yes"}, "production", "boolean"),
    ({"records_for_standard": 0}, "records_for_standard", "boolean"),
]


@pytest.mark.parametrize(("given", "field", "why"), BAD)
def test_a_value_that_cannot_be_used_is_named_with_its_cure(site: Site, given: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(FieldsError) as refused:
        site.change("olga", **{"downloads": "signed_in", **given})
    assert list(refused.value.faults) == [field]
    assert why in refused.value.faults[field]
    assert str(refused.value).startswith(f"{field}: ")
    assert site.projects.wants("acme") == Wants()
    assert next(site.audit.lines()).line.came.value == "refused"


@pytest.mark.parametrize("project", ["Acme", "integrator", "a__b", "../x", "acme\n", "acmé", ""])
def test_a_project_is_called_as_projects_are(site: Site, project: str) -> None:
    for ask in (
        lambda: site.configuring.change(site.who("root"), project, {}),
        lambda: site.configuring.show(site.who("root"), project),
    ):
        with pytest.raises(ConfigError, match="not a project's name"):
            ask()


def test_two_who_change_different_things_at_once_lose_neither(site: Site) -> None:
    given: list[dict[str, object]] = [
        {"console": "forbid"},
        {"plan": "trial"},
        {"downloads": "signed_in"},
        {"alerts": {"on": "any"}},
    ]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: site.change("olga", **one), given))
    wants = site.projects.wants("acme")
    assert (wants.console.value, wants.plan, wants.downloads.value, wants.alerts.on) == ("forbid", "trial", "signed_in", "any")


def test_hosts_are_kept_in_one_spelling_and_what_came_and_went_is_noted(site: Site) -> None:
    wants = site.change(
        "ada", egress=["API.example.com.", "*.shop.example:443", "api.example.com"], zone="Asia/Tokyo", production=True
    )
    assert wants.egress == ("api.example.com", "*.shop.example:443")
    assert next(site.audit.lines()).line.detail == {
        "zone": "Asia/Tokyo", "production": True, "egress_added": "api.example.com *.shop.example:443", "egress_hosts": 2,
    }  # fmt: skip
    assert site.change("ada", egress=["api.example.com", "b.example"]).egress == ("api.example.com", "b.example")
    assert next(site.audit.lines()).line.detail == {
        "egress_added": "b.example", "egress_removed": "*.shop.example:443", "egress_hosts": 2,
    }  # fmt: skip
    assert site.change("ada", egress=None).egress == ()


def test_no_host_of_a_long_list_is_cut_off_in_the_audit(site: Site) -> None:
    hosts = [f"{'x' * 60}-{n}.example.com" for n in range(30)]
    site.change("ada", egress=hosts)
    detail = next(site.audit.lines()).line.detail
    assert {one for name, value in detail.items() if name.startswith("egress_added") for one in str(value).split()} == set(hosts)


def test_what_was_kept_before_there_were_these_settings_is_read_as_usual(site: Site) -> None:
    with writing(site.engine) as c:
        c.execute(
            projects.insert().values(
                name="acme", wants='{"console":"reason","plan":"trial"}', updated_at=datetime.now(UTC), updated_by="x"
            )
        )
    wants = site.projects.wants("acme")
    assert (wants.zone, wants.egress, wants.production, wants.records_for_standard) == ("UTC", (), False, True)


def test_a_production_project_has_no_console_log_without_a_reason(site: Site) -> None:
    console, now = SqlConsole(site.engine), datetime.now(UTC)
    switch = Switch("acme", "sync", frozenset({Content.CALL}), now, 50, "ann", now)
    console.enable(switch, 1)
    assert console.switch("acme", "sync") is not None
    site.change("ada", production=True)
    assert console.switch("acme", "sync") is None  # it was switched on before, and nobody said why
    with pytest.raises(ConfigError, match="asks for a reason"):
        console.enable(switch, 1)
    with pytest.raises(ConfigError, match="asks for a reason"):
        console.enable(replace(switch, reason=" \t"), 1)
    console.enable(replace(switch, reason="ticket 4711"), 1)
    assert console.switch("acme", "sync") is not None
    site.change("ada", console="forbid")
    assert console.switch("acme", "sync") is None


def test_the_command_line_changes_all_of_it(tmp_path: Path) -> None:
    def call(*words: str) -> Any:
        made = CliRunner().invoke(cli, ["project", "configure", "acme", *words, "--home", str(tmp_path), "--json"])
        return str(made.exception) if made.exception else json.loads(made.stdout)

    made = call(
        "--zone",
        "Europe/Berlin",
        "--egress",
        "api.example.com",
        "--egress",
        "*.x.example",
        "--production",
        "--no-records-for-standard",
    )
    told = ("zone", "egress", "production", "records_for_standard")
    assert [made[name] for name in told] == ["Europe/Berlin", ["api.example.com", "*.x.example"], True, False]
    made = call("--egress", "none", "--no-production", "--records-for-standard", "--plan", "trial")
    assert [made[name] for name in told] == ["Europe/Berlin", [], False, True]
    assert call() == made
    assert "zone: 'Mars' is no IANA time zone" in call("--zone", "Mars")
    assert call() == made
