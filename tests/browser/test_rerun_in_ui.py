"""A person reruns failed records in Airflow's own pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from integrator.launching.made_once import ADMIN_PASSWORD, ADMIN_USER
from integrator.settings import read_env_file
from tests.airflow.test_live_pipes import FAULTY, tags, until
from tests.airflow.test_rerun_form import RERUN, open_ids
from tests.services.platform import Platform

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
SIZE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the pages wrote to the browser's console as errors."""
    return []


@pytest.fixture(scope="module")
def page(embedded_platform: Platform, said: list[str]) -> Iterator[Page]:
    """A page that is signed in as the administrator."""

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(f"{message.location.get('url', '')} {message.text}")

    kept = read_env_file(embedded_platform.home)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light", base_url=embedded_platform.url)
        page.set_default_timeout(15_000)
        page.on("console", listen)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto("/")
        page.fill("#username", kept[ADMIN_USER])
        page.fill("#password", kept[ADMIN_PASSWORD])
        page.click("input[type=submit]")
        page.wait_for_url(re.compile(r"/(?!auth/).*$"))
        yield page
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots go, for a person to look at."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def failed(embedded_platform: Platform) -> list[str]:
    """Four orders that failed, the ERP repaired since; their IDs."""
    erp = embedded_platform.erp
    erp.repair()
    embedded_platform.integrator("rerun", "demo/orders", "--all", may_fail=True)
    erp.reset()
    erp.break_()
    embedded_platform.integrator("run", "demo/orders", "--full")
    erp.repair()
    return open_ids(embedded_platform)


def _picture(page: Page, pictures: Path, name: str) -> None:
    for scheme in ("light", "dark"):
        page.evaluate("scheme => { localStorage.setItem('theme', scheme); document.documentElement.className = scheme }", scheme)
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(400)
        page.screenshot(path=pictures / f"{name}-{scheme}.png")


def _runs(platform: Platform) -> list[dict[str, str]]:
    return list(platform.api("GET", f"/dags/{RERUN}/dagRuns?order_by=-run_after")[1]["dag_runs"])


def _trigger(page: Page, platform: Platform) -> str:
    before = {run["dag_run_id"] for run in _runs(platform)}
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    run = until(lambda: next((run for run in _runs(platform) if run["dag_run_id"] not in before), None), 15)
    path = f"/dags/{RERUN}/runs/{run['dag_run_id']}"
    assert until(lambda: (now := _state(platform, run["dag_run_id"])) in ("success", "failed") and now, 60) == "success"
    page.goto(path)
    page.get_by_text("Success").first.wait_for()
    return path


def _state(platform: Platform, run_id: str) -> str:
    return str(platform.api("GET", f"/dags/{RERUN}/dagRuns/{run_id}")[1]["state"])


def _open_form(page: Page) -> None:
    page.goto(f"/dags/{RERUN}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_text("Which records").wait_for()


def test_two_ids_typed_into_the_form_are_rerun(
    embedded_platform: Platform, page: Page, failed: list[str], pictures: Path
) -> None:
    _open_form(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("all open failures").first.click(force=True)  # its input lies over the text
    page.get_by_role("option", name="these IDs").click()
    dialog.locator("[name=element_entity_ids]").fill(f"{failed[0]}\n{failed[2]}\n")
    _picture(page, pictures, "form")
    _trigger(page, embedded_platform)
    _picture(page, pictures, "run")
    assert open_ids(embedded_platform) == sorted({*failed} - {failed[0], failed[2]})


def test_the_untouched_form_reruns_all(embedded_platform: Platform, page: Page, failed: list[str]) -> None:
    _open_form(page)
    _trigger(page, embedded_platform)
    assert open_ids(embedded_platform) == []
    counts = embedded_platform.erp.counts()
    assert (counts["distinct"], counts["duplicates"]) == (2_000, [])


def test_a_faulty_pipe_is_seen_among_the_dags_and_says_why(embedded_platform: Platform, page: Page, pictures: Path) -> None:
    file = embedded_platform.dags / "demo" / "broken.yaml"
    file.write_text(FAULTY, "utf-8")
    try:
        until(lambda: "faulty" in tags(embedded_platform, "demo.broken"), 10)
        page.goto("/dags")
        page.get_by_text("demo.broken").first.wait_for()
        _picture(page, pictures, "dags")
        page.goto("/dags/demo.broken")
        page.get_by_role("button", name="Dag Docs").click()
        page.get_by_role("dialog").get_by_text("demo/broken.yaml:4").wait_for()
        _picture(page, pictures, "faulty")
    finally:
        file.unlink()


@pytest.mark.parametrize("name", ["integrator_basic", "integrator_api_key"])
def test_the_connection_form_shows_the_schemes_fields(page: Page, pictures: Path, name: str) -> None:
    label = {"integrator_basic": "Integrator: Basic", "integrator_api_key": "Integrator: API key"}[name]
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.keyboard.type(label)
    page.get_by_role("option").first.click()
    dialog.get_by_text("Base URL").first.wait_for()
    if not dialog.get_by_text("Test path").first.is_visible():
        dialog.get_by_role("button", name=re.compile("Extra Fields")).first.click()
    dialog.get_by_text("Test path").first.scroll_into_view_if_needed()
    _picture(page, pictures, f"connection-{name}")


def test_no_page_of_ours_has_errors_in_the_console(page: Page, said: list[str]) -> None:
    assert [line for line in said if "integrator" in line.lower()] == []
