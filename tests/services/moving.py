"""Runs flows in a test as the product does: a pipe from YAML, checked and compiled, real connections, any journal."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import yaml

from integrator.authoring.checking import CheckedPipe, check
from integrator.authoring.planning import FlowPlan
from integrator.authoring.reading import read_text
from integrator.engine.move import Asked
from integrator.model.credential import Credential
from integrator.model.project import Wants
from integrator.model.run import FlowReport, RunKey, Selection, Trigger
from integrator.settings import Settings
from integrator.wiring import Parts, for_tests

HASH_KEY = "dGVzdC1rZXktdGVzdC1rZXktdGVzdC1rZXktdGVzdC0="
QUICK = Settings(
    hash_key=HASH_KEY, back_off_s=0.01, attempts=4, answer_timeout_s=5, connect_timeout_s=2, wait_max_s=2, stale_after_s=60
)
MATCH = {"params": {"ext": "{ext}"}, "records": "data", "id": "number", "found": "leave", "missing": "create"}


def flow(*, source: dict[str, Any] | None = None, destination: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a flow from the system's items to its orders, with changes."""
    made = {
        "source": {
            "connector": "rest", "credential": "there", "path": "/items", "records": "items", "entity_id": "id",
            "pages": {"by": "page_number", "per_page": 100}, "by_id": {"path": "/items/{entity_id}"}, **(source or {}),
        },
        "map": {"ext": "id", "name": "name", "amount": "amount"},
        "destination": {"connector": "rest", "credential": "there", "path": "/orders", **(destination or {})},
        **more,
    }  # fmt: skip
    for end in ("source", "destination"):
        made[end] = {name: value for name, value in made[end].items() if value is not None}
    return made


def checked(flow_: dict[str, Any], **pipe: Any) -> CheckedPipe:
    """Return the checked pipe `acme.sync` with this one flow."""
    from pathlib import Path

    text = yaml.safe_dump({"flows": {"items": flow_}, **pipe}, sort_keys=False)
    return check(CheckedPipe("acme", "sync", Path("sync.yaml"), "acme/sync.yaml"), read_text(text.encode(), "acme/sync.yaml"))


def plan(flow_: dict[str, Any], **pipe: Any) -> FlowPlan:
    """Return the compiled flow; a faulty one fails the test with its faults."""
    made = checked(flow_, **pipe)
    assert not made.faults, "\n".join(map(str, made.faults))
    return made.plans["items"]


def parts(
    *credentials: Credential, variables: dict[str, str] | None = None, wants: Wants | None = None, **settings: Any
) -> Parts:
    """Return parts with a journal in memory, of projects that want what is usual."""
    return for_tests(replace(QUICK, **settings), {one.conn_id: one for one in credentials}, variables or {}, wants or Wants())


async def move(made: Parts, flow_plan: FlowPlan, asked: Asked | None = None, run: RunKey | None = None) -> FlowReport:
    """Run a flow to its end, within 60 s."""
    key = run or RunKey(str(uuid.uuid4()), Trigger.RERUN if asked and asked.selection else Trigger.MANUAL)
    return await asyncio.wait_for(made.move(flow_plan, key, asked or Asked()), 60)


async def rerun(made: Parts, flow_plan: FlowPlan, **selection: Any) -> FlowReport:
    """Rerun failures."""
    return await move(made, flow_plan, Asked(selection=Selection(**selection)))


def failures(made: Parts, *states: str) -> dict[str, Any]:
    """Return entity ID -> failure row, unresolved ones unless states are named."""
    from integrator.model.run import State

    rows = made.journal.failures("acme", "sync", states=[State(s) for s in states or ("open", "retrying", "waiting")])
    return {row.entity_id: row for row in rows}
