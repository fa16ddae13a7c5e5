"""A person signs in for a credential with a real browser: code with PKCE against a certified provider; the token that comes of it moves records and renews itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright

from tests.services.demo import ROOT
from tests.services.moving import HASH_KEY, flow
from tests.services.oidc import Guard, Oidc, provider
from tests.services.system import System, record

FERNET = "x" * 43 + "="


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield made
        made.close()


@pytest.fixture(scope="module")
def oidc() -> Iterator[Oidc]:
    with provider() as made:
        yield made


class Shell:
    """A home whose one credential waits for a person."""

    def __init__(self, folder: Path, oidc: Oidc, system: System, **extra: Any) -> None:
        self.folder = folder
        fields = {
            "plain_http": True, "grant": "authorization_code", "authorize_url": f"{oidc.url}/auth", "token_url": f"{oidc.url}/token",
            "client_id": "native", "scope": "openid offline_access read", "authorize_params": "prompt=consent", **extra,
        }  # fmt: skip
        connection = {"conn_type": "integrator_oauth2", "host": system.url, "extra": fields}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
        self.environ = {
            **kept, "AIRFLOW_CONN_ACME__THERE": json.dumps(connection), "PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW__CORE__FERNET_KEY": FERNET,
            "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY, "INTEGRATOR_HOME": str(folder / "home"), "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01",
        }  # fmt: skip
        (folder / "dags" / "acme").mkdir(parents=True)
        (folder / "dags" / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": flow()}}))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "integrator.cli", *arguments], cwd=self.folder, env=self.environ,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (arguments, out, err)
        self.err = err
        return json.loads(out) if "--json" in arguments and out else out


def address(process: subprocess.Popen[str]) -> str:
    """Return the address that the command asks to open."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith("http"):
            return line.strip()
    raise AssertionError("no address was told")


def sign_in(browser: Browser, url: str, *, allow: bool = True) -> Any:
    page = browser.new_context(color_scheme="dark").new_page()
    page.goto(url)
    if not allow:
        page.click("text=Cancel")
        return page
    page.fill("input[name=login]", "somebody")
    page.fill("input[name=password]", "anything")
    page.click("button[type=submit]")
    page.click("button[type=submit]")  # consent
    return page


def test_a_person_signs_in_and_the_pipe_runs_from_then_on(tmp_path: Path, browser: Browser, oidc: Oidc, system: System) -> None:
    system.records = [record(n) for n in range(3)]
    guard = Guard(oidc)
    system.on_read = guard
    shell = Shell(tmp_path, oidc, system)
    shell("run", "acme/sync", "--json", code=1)
    assert "nobody has signed in yet; run: integrator credential authorize acme/there" in shell.err
    process = shell.start("credential", "authorize", "acme/there", "--no-browser", "--json")
    url = address(process)
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    page = sign_in(browser, url)
    page.wait_for_selector("text=Thank you")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out) == {
        "credential": "acme/there",
        "authorized": True,
        "scope": "openid offline_access read",
        "renewable": True,
    }
    assert shell("run", "acme/sync", "--json")["flows"]["items"]["created"] == 3
    guard.revoked.update(guard.tokens)
    assert shell("run", "acme/sync", "--json")["status"] == "success"  # renewed by the refresh token, which was rotated
    guard.revoked.update(guard.tokens)
    assert shell("run", "acme/sync", "--json")["status"] == "success"
    assert len(guard.tokens) == 3
    [row] = shell("credential", "list", "--json")
    assert (row["state"], row["kept_in"]) == ("good", "environment")
    kept = (tmp_path / "home" / "integrator.db").read_bytes()
    assert not any(token.encode() in kept for token in guard.tokens)
    shell("credential", "remove", "acme/there", "--tokens-only", "--json")
    shell("run", "acme/sync", "--json", code=1)
    assert "nobody has signed in yet" in shell.err


def test_access_that_is_denied_is_told_and_an_answer_to_another_sign_in_is_not_taken(
    tmp_path: Path, browser: Browser, oidc: Oidc, system: System
) -> None:
    shell = Shell(tmp_path, oidc, system)
    process = shell.start("credential", "authorize", "acme/there", "--no-browser", "--json")
    url = address(process)
    page = browser.new_page()
    back = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
    page.goto(f"{back}?nothing=1")
    assert page.title() == "Integrator"
    assert "waits for a sign-in" in page.content()
    page.goto(f"{back}?code=stolen&state=of-somebody-else")
    assert "this is not the one" in page.content()  # and the command goes on waiting for the one
    state = dict(parse_qsl(urlsplit(url).query))
    page.goto(f"{state['redirect_uri']}?error=access_denied&state={state['state']}")
    assert "Not signed in" in page.content()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert "access was denied there" in err
    began = time.monotonic()
    shell("credential", "authorize", "acme/there", "--no-browser", "--wait", "1", "--json", code=1)
    assert "nobody came back within 1 s" in shell.err
    assert time.monotonic() - began < 15


def test_where_there_is_no_browser_the_address_is_pasted(tmp_path: Path, browser: Browser, oidc: Oidc, system: System) -> None:
    system.records = [record(1)]
    system.on_read = Guard(oidc)
    shell = Shell(tmp_path, oidc, system)
    process = shell.start("credential", "authorize", "acme/there", "--paste", "--port", "9", "--json")
    page = browser.new_context().new_page()
    ended: list[str] = []
    page.on("request", lambda request: ended.append(request.url) if ":9/callback" in request.url else None)
    page.goto(address(process))
    page.fill("input[name=login]", "somebody")
    page.fill("input[name=password]", "anything")
    page.click("button[type=submit]")
    page.click("button[type=submit]", no_wait_after=True)
    until = time.monotonic() + 20
    while not ended and time.monotonic() < until:
        page.wait_for_timeout(50)
    out, err = process.communicate(f"{ended[0]}\n", timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out)["authorized"]
    assert shell("run", "acme/sync", "--json")["status"] == "success"
