"""`integrator credential` and `rotate-keys` over Airflow's own store, and what happens to a secret whose way is changed in Airflow's form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from aiohttp import web

from integrator.settings import read_env_file
from tests.services.demo import ROOT
from tests.services.platform import Platform
from tests.services.system import System
from tests.services.warm import STORE, Forker

SECRET = "canary-of-a-secret-4c17"
NAME = "demo/kept"


class Cli:
    """The command line over a platform's home; Airflow, which is slow to import, is imported once for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.err = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
        self.environ = {**kept, "PYTHONPATH": str(ROOT / "plugins")}
        named = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        places = {name: value for name, value in read_env_file(home).items() if name in named}
        self.forker = Forker(STORE, {**kept, **places, "PYTHONWARNINGS": "ignore"})

    def __call__(self, *arguments: str, code: int = 0, **environ: str) -> Any:
        words, env = (*arguments, "--home", str(self.home), "--json"), {**self.environ, **environ}
        if any(name.startswith("AIRFLOW_") for name in environ):  # which Airflow may read at import
            command = [sys.executable, "-m", "integrator.cli", *words]
            cold = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=90)
            ended, out, self.err = cold.returncode, cold.stdout, cold.stderr
        else:
            warm = self.forker.start("integrator.cli", *words, cwd=ROOT, env=env)
            out, self.err = warm.communicate(90)
            ended = warm.returncode
        assert ended == code, (arguments, out, self.err)
        assert SECRET not in out + self.err
        return json.loads(out) if out else None


@pytest.fixture(scope="module")
def cli(embedded_platform: Platform) -> Cli:
    return Cli(embedded_platform.home)


def _shop(platform: Platform) -> dict[str, Any]:
    return dict(json.loads(platform.env["AIRFLOW_CONN_DEMO__SHOP"]))


def _row(home: Path, conn_id: str) -> Any:
    with closing(connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT host, is_extra_encrypted, extra FROM connection WHERE conn_id = ?", (conn_id,)).fetchone()


def test_a_credential_is_added_listed_tried_changed_and_removed(embedded_platform: Platform, cli: Cli) -> None:
    shop = _shop(embedded_platform)
    extra = shop["extra"]
    host = shop["host"]
    options = ["--set", "plain_http=true", "--set", f"username={extra['username']}", "--set", "test_path=/rest/V1/orders"]
    made = cli(
        "credential", "add", NAME, "--scheme", "basic", "--url", host, *options, "--env", "password=SHOP", SHOP=extra["password"]
    )
    assert made["ok"] is True
    assert "signed in: /rest/V1/orders answers 200" in made["message"]
    row = _row(embedded_platform.home, "demo__kept")
    assert (row[0], row[1]) == (host, 1)
    assert extra["username"] not in row[2]
    [listed] = [one for one in cli("credential", "list", "demo") if one["name"] == "kept"]
    assert (listed["scheme"], listed["base_url"], listed["kept_in"], listed["fault"]) == ("basic", host, "Airflow", None)
    assert cli("credential", "test", NAME)["ok"] is True
    cli("credential", "add", NAME, "--scheme", "basic", "--url", host, code=2)
    assert "--replace" in cli.err
    # What goes elsewhere must be given anew.
    cli("credential", "add", NAME, "--replace", "--url", "http://127.0.0.1:9", "--no-test", code=0)
    assert "password: erased" in cli.err
    assert "password" not in _stored(embedded_platform, cli)
    assert cli("credential", "add", NAME, "--replace", "--url", host, "--env", "password=SHOP", SHOP=extra["password"])["ok"]
    assert cli("credential", "add", NAME, "--replace", "--set", "username=other")["ok"] is False
    assert cli("credential", "test", NAME, code=1)["message"].startswith("the system refuses this sign-in (401)")
    cli("credential", "remove", NAME)
    cli("credential", "test", NAME, code=2)
    assert "has no credential 'kept'" in cli.err
    assert _row(embedded_platform.home, "demo__kept") is None


def _stored(platform: Platform, cli: Cli) -> dict[str, Any]:
    """Return what lies in the store, read with the platform's own key."""
    from cryptography.fernet import Fernet

    keys = read_env_file(platform.home)["AIRFLOW__CORE__FERNET_KEY"]
    row = _row(cli.home, "demo__kept")
    return dict(json.loads(Fernet(keys.split(",")[0]).decrypt(row[2].encode())))


IMPOSSIBLE: list[tuple[list[str], str]] = [
    (["add", "demo/x", "--scheme", "basc", "--url", "https://h.example"], "did you mean 'basic'"), (["add", "demo/x"], "needs --scheme and --url"), (["add", "Demo/x", "--scheme", "none", "--url", "https://h"], "not PROJECT/NAME"),
    (["add", "demo/x", "--scheme", "none", "--url", "http://h.example"], "http sends secrets in clear"), (["add", "demo/x", "--scheme", "none", "--url", "https://10.0.0.1"], "private network"),
    (["add", "demo/x", "--scheme", "basic", "--url", "https://h.example"], "'username' is missing"), (["add", "demo/x", "--scheme", "none", "--url", "https://h", "--set", "usr=1"], "no field 'usr'"),
    (["add", "demo/x", "--scheme", "none", "--url", "https://h", "--env", "x=NOT_SET_AT_ALL"], "has no variable"), (["add", "demo/x", "--scheme", "basic", "--url", "https://h", "--set", "username=u", "--set", f"password={SECRET}"], "password is a secret"), (["remove", "demo/nowhere"], "no credential 'nowhere'"), (["authorize", "demo/shop"], "nobody has to sign in"),
]  # fmt: skip
ALL_AT_ONCE = """
import contextlib, io, json, sys
from integrator.cli import main
told = []
for command in json.load(sys.stdin):
    sys.argv, err, code = ["integrator", *command], io.StringIO(), 0
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    told.append([code, err.getvalue()])
print("RESULT", json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(cli: Cli) -> list[Any]:
    """What the impossible commands said, given one after the other in one process, since Airflow is slow to import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    commands = [["credential", *arguments, "--home", str(cli.home), "--json"] for arguments, _said in IMPOSSIBLE]
    done = subprocess.run(
        [sys.executable, "-c", ALL_AT_ONCE], env={**kept, "PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True,
        input=json.dumps(commands), timeout=90,
    )  # fmt: skip
    assert SECRET not in done.stdout + done.stderr
    return list(json.loads(done.stdout.partition("RESULT ")[2]))


@pytest.mark.parametrize("at", range(len(IMPOSSIBLE)), ids=[" ".join(arguments)[:60] for arguments, _said in IMPOSSIBLE])
def test_what_cannot_be_done_is_told_with_its_cure(told: list[Any], at: int) -> None:
    code, err = told[at]
    assert code == 2, err
    assert IMPOSSIBLE[at][1] in err


def test_a_list_that_is_not_whole_says_so(cli: Cli, tmp_path: Path) -> None:
    assert {one["kept_in"] for one in cli("credential", "list", AIRFLOW__CORE__FERNET_KEY="")} == {"environment"}
    assert "fernet_key is not set" in cli.err
    assert "only what the environment holds is listed" in cli.err
    cli("credential", "list", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{tmp_path / 'none.db'}")
    assert "was `airflow db migrate` run?" in cli.err


@pytest.mark.parametrize(
    ("change", "stays"),
    [({"host": "http://127.0.0.1:10"}, False), ({"port": 10}, False), ({"conn_type": "integrator_digest"}, False), ({"extra": {"ca_certificate": "another"}}, False), ({"extra": {"test_path": "/x"}}, True), ({"description": "x"}, True)],
)  # fmt: skip
def test_a_secret_does_not_follow_a_connection_that_is_pointed_elsewhere(
    embedded_platform: Platform, cli: Cli, change: dict[str, Any], stays: bool
) -> None:
    extra = {"username": "u", "password": SECRET, "plain_http": True}
    body = {
        "connection_id": "demo__kept",
        "conn_type": "integrator_basic",
        "host": "http://127.0.0.1",
        "extra": json.dumps(extra),
    }
    assert embedded_platform.api("POST", "/connections", body)[0] == 201
    try:
        shown = embedded_platform.api("GET", "/connections/demo__kept")[1]
        masked = json.loads(shown["extra"])
        assert SECRET not in json.dumps(shown)
        changed = {**body, **change, "extra": json.dumps({**masked, **change.get("extra", {})})}
        status, answer = embedded_platform.api("PATCH", "/connections/demo__kept", changed)
        assert status == 200, answer
        assert (_stored(embedded_platform, cli).get("password") == SECRET) is stays
    finally:
        embedded_platform.api("DELETE", "/connections/demo__kept")


def test_a_secret_does_not_follow_a_connection_that_was_of_another_type_in_between(embedded_platform: Platform, cli: Cli) -> None:
    extra = json.dumps({"username": "u", "password": SECRET, "plain_http": True})
    body = {"connection_id": "demo__kept", "conn_type": "integrator_basic", "host": "http://127.0.0.1:9", "extra": extra}
    assert embedded_platform.api("POST", "/connections", body)[0] == 201
    try:
        for step in ({"conn_type": "http"}, {"host": "http://127.0.0.1:10"}, {"conn_type": "integrator_basic"}):
            body |= step
            asked = {name: value for name, value in body.items() if name != "extra"}
            mask = "&".join(f"update_mask={name}" for name in step)
            assert embedded_platform.api("PATCH", f"/connections/demo__kept?{mask}", asked)[0] == 200
        assert "password" not in _stored(embedded_platform, cli)
    finally:
        embedded_platform.api("DELETE", "/connections/demo__kept")


def test_one_of_several_values_in_a_field_does_not_follow_either(embedded_platform: Platform, cli: Cli) -> None:
    extra = {"values_secret": {"company": SECRET}, "plain_http": True}
    body = {"connection_id": "demo__kept", "conn_type": "integrator_session_login", "host": "http://127.0.0.1:9"}
    assert embedded_platform.api("POST", "/connections", {**body, "extra": json.dumps(extra)})[0] == 201
    try:
        extra["values_secret"] = {"company": "***", "more": "x"}
        moved = {**body, "host": "http://127.0.0.1:10", "extra": json.dumps(extra)}
        assert embedded_platform.api("PATCH", "/connections/demo__kept", moved)[0] == 200
        assert SECRET not in json.dumps(_stored(embedded_platform, cli))
    finally:
        embedded_platform.api("DELETE", "/connections/demo__kept")


def test_a_secret_does_not_follow_a_test_of_what_is_not_saved(embedded_platform: Platform, system: System) -> None:
    """Airflow fills hidden values in for its Test too, as long as the host is the same."""
    heard: list[str] = []

    def hear(request: web.Request) -> None:
        heard.append(str(request.headers))

    system.on_read = hear
    step = {"method": "GET", "url": f"{system.url}/items", "headers": {"X-Key": "{password}"}, "take": {"token": "items"}}
    extra = {"password": SECRET, "plain_http": True, "steps": json.dumps([{**step, "url": "http://127.0.0.1:9/token"}])}
    body = {"connection_id": "demo__kept", "conn_type": "integrator_token_chain", "host": "http://127.0.0.1:9"}
    assert embedded_platform.api("POST", "/connections", {**body, "extra": json.dumps(extra)})[0] == 201
    try:
        asked = {"plain_http": True, "steps": json.dumps([step])}
        given = {**body, "extra": json.dumps({**asked, "password": "given-for-this-test"})}
        assert embedded_platform.api("POST", "/connections/test", given)[0] == 200
        assert "given-for-this-test" in heard.pop()
        status, said = embedded_platform.api(
            "POST", "/connections/test", {**body, "extra": json.dumps({**asked, "password": "***"})}
        )
        assert (status, said["status"]) == (200, False)
        assert SECRET not in "".join(heard)
    finally:
        embedded_platform.api("DELETE", "/connections/demo__kept")


def test_a_password_in_a_base_url_is_not_listed(embedded_platform: Platform, cli: Cli) -> None:
    body = {"connection_id": "demo__kept", "conn_type": "integrator_none", "host": f"https://user:{SECRET}@h.example/x"}
    assert embedded_platform.api("POST", "/connections", body)[0] == 201
    try:
        [listed] = [one for one in cli("credential", "list", "demo") if one["name"] == "kept"]
        assert listed["base_url"] == "https://***@h.example/x"
        cli("credential", "test", NAME, code=1)
    finally:
        embedded_platform.api("DELETE", "/connections/demo__kept")


def test_keys_are_rotated_while_everything_stays_readable(embedded_platform: Platform, cli: Cli, tmp_path: Path) -> None:
    """On a copy of the platform's home: what runs there knows the old key only."""
    import shutil

    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(embedded_platform.home / "env", home / "env")
    with closing(connect(embedded_platform.home / "airflow.db")) as live, closing(connect(home / "airflow.db")) as copy:
        live.backup(copy)  # a file that is copied while others write to it may be torn
    text = (home / "env").read_text().replace(str(embedded_platform.home), str(home))
    (home / "env").write_text(text)
    own = Cli(home)
    own("credential", "add", NAME, "--scheme", "bearer", "--url", "https://h.example", "--env", "token=T", "--no-test", T=SECRET)
    old = read_env_file(home)["AIRFLOW__CORE__FERNET_KEY"]
    assert own("rotate-keys", "--new-key")["airflow"] is True
    both = read_env_file(home)["AIRFLOW__CORE__FERNET_KEY"]
    assert both.endswith(f",{old}")
    assert own("rotate-keys")["keys"] == 2  # it may be run again
    assert own("rotate-keys", "--drop-old")["keys"] == 1
    new = read_env_file(home)["AIRFLOW__CORE__FERNET_KEY"]
    assert new == both.split(",")[0]
    assert (home / "env").stat().st_mode & 0o777 == 0o600
    from cryptography.fernet import Fernet

    assert SECRET in Fernet(new).decrypt(_row(home, "demo__kept")[2].encode()).decode()
    (home / "env").write_text((home / "env").read_text().replace(new, old))
    own("credential", "test", NAME, code=2)
    assert "another Fernet key" in own.err


def test_a_list_of_hosts_holds_for_tasks_as_for_the_command_line(embedded_platform: Platform, cli: Cli) -> None:
    def task_failed() -> bool:
        run = embedded_platform.api("POST", "/dags/demo.orders/dagRuns", {"logical_date": None})[1]["dag_run_id"]
        address = f"/dags/demo.orders/dagRuns/{run}"
        embedded_platform.wait_for(lambda: embedded_platform.api("GET", address)[1]["state"] in ("success", "failed"), 120)
        log = embedded_platform.api("GET", f"{address}/taskInstances/orders/logs/1")[1]
        return "egress list" in json.dumps(log)

    try:
        cli("project", "configure", "demo", "--egress", "erp.example.com")
        told = {one["name"]: one["fault"] for one in cli("credential", "list", "demo")}
        assert "egress list" in told["shop"] and "egress list" in told["erp"]
        assert "egress list" in cli("credential", "test", "demo/shop", code=1)["message"]
        assert "egress list" in json.dumps(cli("doctor"))
        assert task_failed()
        cli("project", "configure", "demo", "--egress", "127.0.0.1")
        assert cli("credential", "test", "demo/shop")["ok"] is True
        assert not task_failed()
        cli("project", "configure", "demo", "--egress", "none", "--production")
        assert "production project" in cli("credential", "test", "demo/shop", code=1)["message"]
    finally:
        cli("project", "configure", "demo", "--egress", "none", "--no-production")
