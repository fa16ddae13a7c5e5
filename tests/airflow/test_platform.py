"""The embedded platform with the demo: what it says, and how soon an edited pipe is live."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.services.platform import Platform

LIVE_S = 5.0


def test_the_first_start_says_what_became_of_the_orders(embedded_platform: Platform) -> None:
    assert "orders: 2,000 read, 1,976 created, 24 failed" in embedded_platform.said()
    assert "scripts/demo repair" in embedded_platform.said()


def test_airflow_has_the_pipe_and_no_import_error(embedded_platform: Platform) -> None:
    status, dag = embedded_platform.api("GET", "/dags/demo.orders")
    assert (status, dag["is_paused"], dag["has_import_errors"]) == (200, False, False)
    assert embedded_platform.api("GET", "/importErrors")[1]["total_entries"] == 0


def test_an_edited_pipe_is_live_within_five_seconds(embedded_platform: Platform) -> None:
    pipe = embedded_platform.dags / "demo" / "orders.yaml"
    before = pipe.read_text("utf-8")
    words = "Edited while the platform runs"
    try:
        begun = time.monotonic()
        pipe.write_text(before.replace("Web orders of the demo shop", words), "utf-8")
        while words not in (embedded_platform.api("GET", "/dags/demo.orders")[1].get("description") or ""):
            assert time.monotonic() - begun < LIVE_S
            time.sleep(0.1)
    finally:
        pipe.write_text(before, "utf-8")


def test_a_plain_airflow_command_sees_the_same_platform(embedded_platform: Platform) -> None:
    command = [sys.executable, "-m", "integrator.launching.with_home", "airflow", "config", "get-value", "core", "dags_folder"]
    environ = {**os.environ, "INTEGRATOR_HOME": str(embedded_platform.home)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == str(embedded_platform.dags)
