"""P1 on Airflow: after a run with failures, neither Airflow's tables, its logs nor any other file of the home hold a record's content."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.services.platform import Platform

SYSTEMS = "demo"
"""Folder in the home where the demo shop and ERP, which are other systems, keep their own data."""


def contents(home: Path) -> list[tuple[Path, bytes]]:
    return [
        (file, file.read_bytes())
        for file in home.rglob("*")
        if file.is_file() and file.parent.name != SYSTEMS and not file.is_symlink()
    ]


def test_no_order_s_content_is_left_anywhere(embedded_platform: Platform) -> None:
    with sqlite3.connect(f"file:{embedded_platform.home / 'airflow.db'}?mode=ro", uri=True) as database:
        failed = {row[0] for row in database.execute("select entity_id from integrator_failures")}
        runs = database.execute("select count(*) from dag_run").fetchone()[0]
    assert runs >= 1
    assert failed
    orders = (embedded_platform.home / SYSTEMS / "erp.jsonl").read_text("utf-8").splitlines()
    sample = [json.loads(line) for line in orders[:: max(1, len(orders) // 200)]]
    streets = {
        word
        for order in sample
        for word in _texts(order)
        if len(word) > 12 and not word.replace("-", "").replace(":", "").isalnum()
    }
    assert len(streets) > 50, "the ERP's own file has what we search for"
    leaks = [(file.name, word) for file, data in contents(embedded_platform.home) for word in streets if word.encode() in data]
    assert leaks == []


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []
