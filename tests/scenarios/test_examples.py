"""Every worked example: run it, run it again, kill it in the middle, refuse some records and rerun: both sides end the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.services import warm
from tests.services.demo import ROOT
from tests.services.examples import EXAMPLES, UNIQUE
from tests.services.office import Served, kill_among_calls, served

FOLDER = ROOT / "include" / "examples"
OUTCOMES = ("created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")


class Bench:
    """Both systems, and the command line in a process of its own that may be killed."""

    def __init__(self, name: str, shop: Served, erp: Served, home: Path) -> None:
        self.name, self.example, self.shop, self.erp, self.home = name, EXAMPLES[name], shop, erp, home
        for one in (shop, erp):
            one.office.unique = {**UNIQUE, **({} if one is erp else {"orders": "increment_id"})}
        self.example.fill(shop.office, erp.office)

    def start(self, *words: str) -> warm.Forked:
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "INTEGRATOR_HOME": str(self.home)}
        environ |= {"AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01"}
        for name, system in (("SHOP", self.shop), ("ERP", self.erp), ("MEDIA", self.shop), ("US", self.shop)):
            value = {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}}
            environ[f"AIRFLOW_CONN_ACME__{name}"] = json.dumps(value)
        told = [words[0], f"acme/{self.name}", *words[1:], "--dags", str(FOLDER), "--json"]
        return warm.start("integrator.cli", *told, cwd=self.home, env=environ)

    def run(self, *words: str) -> dict[str, dict[str, Any]]:
        """Run to the end; every flow's numbers add up."""
        process = self.start(*(words or ("run",)))
        out, err = process.communicate(timeout=60)
        assert out, err
        flows: dict[str, dict[str, Any]] = json.loads(out)["flows"]
        for counts in flows.values():
            assert counts["read"] == sum(counts[name] for name in OUTCOMES), counts
        return flows

    def ends(self) -> None:
        self.example.ends(self.shop.office, self.erp.office)

    def state(self) -> Any:
        """What both sides hold, but for when it was changed."""
        sides = [
            {
                name: {key: {**one, "updated_at": None} for key, one in kept.items()}
                for name, kept in side.office.collections.items()
            }
            for side in (self.shop, self.erp)
        ]
        return json.loads(json.dumps([sides, sorted(self.erp.office.files)], default=str))


@pytest.fixture(params=EXAMPLES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with served("shop") as shop, served("erp") as erp:
        yield Bench(request.param, shop, erp, tmp_path)


def total(flows: dict[str, dict[str, Any]], *names: str) -> int:
    return sum(int(flow[name]) for flow in flows.values() for name in names)


def test_it_runs_and_running_it_again_changes_nothing(bench: Bench) -> None:
    flows = bench.run()
    assert (total(flows, "read"), total(flows, "failed", "unknown")) == (bench.example.reads, 0)
    bench.ends()
    before = bench.state()
    again = bench.run()
    assert total(again, "failed", "unknown", "deleted") == 0
    assert bench.state() == before


@pytest.mark.parametrize("seed", range(2))
def test_killed_in_the_middle_and_run_again_both_sides_end_the_same(bench: Bench, seed: int) -> None:
    for side in (bench.shop, bench.erp):
        side.office.latency_s = 0.004
    chance = random.Random(f"{bench.name} {seed}")
    for _times in range(2):
        kill_among_calls(bench.start("run"), (bench.shop, bench.erp), bench.example.calls, chance)
    for side in (bench.shop, bench.erp):
        side.office.latency_s = 0.0
    bench.run()
    bench.run("rerun", "--all")
    flows = bench.run()
    assert total(flows, "failed", "unknown") == 0
    bench.ends()


def test_what_is_refused_is_rerun_and_nothing_else(bench: Bench) -> None:
    """A few writes are refused with 422, whatever they are; after that a rerun of exactly those brings both sides to the same end."""
    writes = {"POST", "PUT", "PATCH"}
    count = {"writes": 0}

    def refuse(request: web.Request, _call: str) -> web.StreamResponse | None:
        if request.method not in writes or request.path.endswith("/jobs"):
            return None
        count["writes"] += 1
        return web.json_response({"error": {"code": "NOT_TODAY"}}, status=422) if count["writes"] % 37 == 5 else None

    for side in (bench.shop, bench.erp):
        side.office.before = refuse
    first = bench.run()
    for side in (bench.shop, bench.erp):
        side.office.before = lambda _request, _call: None
    failed = total(first, "failed")
    assert total(first, "unknown") == 0
    if bench.name != "stock_to_shop":
        assert failed > 0
    again = bench.run("rerun", "--all")
    assert (total(again, "read"), total(again, "failed", "unknown")) == (failed, 0)
    bench.ends()


def test_every_example_is_good_and_has_a_page() -> None:
    made = subprocess.run([sys.executable, "-m", "integrator.cli", "check", "--dags", str(FOLDER), "--json"],
                          env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True)  # fmt: skip
    told = json.loads(made.stdout)
    assert told["faults"] == []
    files = {file.stem for file in (FOLDER / "acme").glob("*.yaml")}
    assert {name.removesuffix("_us") for name in EXAMPLES} == files
    listed = (ROOT / "docs" / "how-to" / "examples.md").read_text()
    for name in files:
        page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text()
        assert f"include/examples/acme/{name}.yaml" in page
        assert f"({name}.md)" in listed
