"""A pipe against json-server, seeded with the world's countries: list, by ID, create, update, its 500 for a duplicate, its {} for a missing one."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrator.model.credential import Credential
from integrator.model.run import Status
from tests.services.demo import ROOT, free_port
from tests.services.moving import failures, move, parts, plan, rerun

NPM = ROOT / "tests" / "services" / "npm"
MODULES = NPM / "node_modules"


class JsonServer:
    """json-server in a process of its own; `countries` to read from, `copies` and `visits` to write to."""

    def __init__(self, folder: Path) -> None:
        countries = json.loads((MODULES / "world-countries" / "countries.json").read_text("utf-8"))
        self.countries = [{"id": one["cca3"], **one} for one in countries]
        self.file = folder / "db.json"
        self.file.write_text(json.dumps({"countries": self.countries, "copies": []}), "utf-8")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            "node",
            str(MODULES / "json-server" / "lib" / "cli" / "bin.js"),
            "--quiet",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            str(self.file),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.url}/copies", timeout=1).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError("json-server did not start")

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JsonServer]:
    assert (MODULES / "json-server").is_dir(), "run: npm ci --prefix tests/services/npm (scripts/test does it)"
    made = JsonServer(tmp_path)
    yield made
    made.stop()


def credential(server: JsonServer) -> Credential:
    return Credential("acme", "there", "none", server.url, {"plain_http": True})


def countries(pages: dict[str, Any], **destination: Any) -> dict[str, Any]:
    return {
        "source": {"connector": "rest", "credential": "there", "path": "/countries", "entity_id": "cca3", "pages": pages, "by_id": {"path": "/countries/{entity_id}"}},
        "map": {"id": "cca3", "name": "name.common", "native": "coalesce(name.native.deu.common, name.common)", "capital": "capital[0]", "area": "area", "borders": "borders"},
        "destination": {"connector": "rest", "credential": "there", "path": "/copies", **destination},
    }  # fmt: skip


LINKS = {"by": "link_header", "per_page": 60, "size_param": "_limit"}
NUMBERS = {"by": "page_number", "param": "_page", "size_param": "_limit", "per_page": 60}


async def test_every_country_is_copied_then_updated_by_match(server: JsonServer) -> None:
    made = parts(credential(server), answer_timeout_s=60)
    spec = countries(NUMBERS, match={"params": {"id": "{id}"}, "id": "id", "found": "update", "same": "skip"}, in_flight=4)
    first = await move(made, plan(spec))
    assert (first.status, first.counts.created) == (Status.SUCCESS, 250)
    copies = {one["id"]: one for one in server.ask("/copies")}
    assert set(copies) == {one["cca3"] for one in server.countries}
    assert copies["DEU"]["native"] == "Deutschland"
    assert copies["ABW"]["area"] == 180
    server.ask("/countries/FRA", "PATCH", {"capital": ["Lyon"]})
    second = await move(made, plan(spec))
    assert (second.counts.updated, second.counts.skipped) == (1, 249)
    assert server.ask("/copies/FRA")["capital"] == "Lyon"


async def test_its_500_for_a_duplicate_is_that_record_s_failure(server: JsonServer) -> None:
    for known in ("DEU", "FRA"):
        server.ask("/copies", "POST", {"id": known})
    made, compiled = parts(credential(server), answer_timeout_s=60), plan({**countries(NUMBERS, in_flight=4), "tolerate": 2})
    report = await move(made, compiled)
    assert (report.status, report.counts.created, report.counts.failed) == (Status.PARTIAL, 248, 2)
    assert {i: row.http_status for i, row in failures(made).items()} == {"DEU": 500, "FRA": 500}
    server.ask("/copies/DEU", "DELETE")
    again = await rerun(made, compiled)
    assert (again.counts.created, again.counts.failed) == (1, 1)


async def test_its_empty_object_for_a_missing_record_means_gone(server: JsonServer) -> None:
    server.ask("/copies", "POST", {"id": "DEU"})
    made, compiled = parts(credential(server), answer_timeout_s=60), plan({**countries(NUMBERS, in_flight=4), "tolerate": 2})
    await move(made, compiled)
    server.ask("/countries/DEU", "DELETE")
    assert (await rerun(made, compiled)).counts.skipped == 1
    assert set(failures(made, "gone")) == {"DEU"}


async def test_its_link_header_is_followed(server: JsonServer) -> None:
    spec = countries({**LINKS})
    spec["source"]["params"] = {"_page": "1"}
    report = await move(parts(credential(server), answer_timeout_s=60), plan(spec))
    assert report.counts.created == 250
