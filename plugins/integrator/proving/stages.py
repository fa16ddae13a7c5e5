"""The stages at which marked records fail: the pipe of each, how the system behaves, and which command is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MATCH = {"params": {"ext": "{ext}", "email": "{email}"}, "records": "data", "id": "number", "found": "leave", "missing": "create"}
MAP = {"ext": "id", "email": "email", "name": "name", "code": "code", "number": "number", "amount": "decimal(amount)", "lines": "lines", "zipped": "zipped", "packed": "packed"}  # fmt: skip


def flow(**changes: Any) -> dict[str, Any]:
    """Return a flow that carries every kind of marked value."""
    made: dict[str, Any] = {
        "source": {"connector": "rest", "credential": "there", "path": "/items", "records": "items", "entity_id": "id", "pages": {"by": "single"},
                   "by_id": {"path": "/items/{entity_id}"}},
        "map": MAP,
        "destination": {"connector": "rest", "credential": "there", "path": "/orders"},
        "tolerate": 1000,
    }  # fmt: skip
    for name, value in changes.items():
        made[name] = {**made.get(name, {}), **value} if isinstance(value, dict) and name in ("source", "destination") else value
    return made


BATCH = {
    "path": "/orders/bulk",
    "size": 4,
    "body": {"records": "records"},
    "answer": {"records": "results", "success": 'code == "ok"', "code": "code"},
}
LOOK_UP = {
    "customer": {"credential": "there", "path": "/look-up", "params": {"email": "{email}"}, "records": "data", "take": "id"}
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to fail.

    Attributes:
        mode: how the system behaves.
        command: `run`, `rerun`, `alert` or `preview`; a rerun and an alert are of the pipe `RERUN_OF`.
        killed: whether the process is killed in the middle.
    """

    name: str
    mode: str
    flow: dict[str, Any] = field(default_factory=flow)
    command: str = "run"
    killed: bool = False


RERUN_OF = "load: refused, echoing the record"
STAGES = (
    Stage("sign-in", "works", flow(source={"credential": "refused"})),
    Stage("fetch: an error page", "fetch fails"),
    Stage("fetch: a page instead of JSON", "fetch is a page"),
    Stage("parse: broken JSON", "fetch is garbage"),
    Stage("parse: records that are none", "a list of others"),
    Stage("map: a value that does not fit", "works", flow(map={**MAP, "n": "integer(name)"})),
    Stage("map: a foreign error", "works", flow(map={**MAP, "n": "name < number"})),
    Stage("look-up: refused, echoing", "look-up fails", flow(look_up=LOOK_UP, map={**MAP, "c": "look_up.customer"})),
    Stage("look-up: nothing found", "works", flow(look_up=LOOK_UP, map={**MAP, "c": "look_up.customer"})),
    Stage("match: refused, echoing", "match fails", flow(destination={"match": MATCH})),
    Stage(RERUN_OF, "refused", flow(log={"name": "name", "lines": "lines"})),
    Stage("load: an error page with the record", "error page"),
    Stage("load: an answer that breaks off", "odd answer"),
    Stage("load: half a batch", "works", flow(destination={"batch": BATCH})),
    Stage("load: lost answers", "lost"),
    Stage("killed in the middle (SIGKILL)", "slow", flow(destination={"in_flight": 1}), killed=True),
    Stage("more failures than tolerated", "refused", flow(tolerate=0)),
    Stage("rerun: refused again", "refused", command="rerun"),
    Stage("alert of the failed records", "works", command="alert"),
    Stage("rerun: succeeds", "works", command="rerun"),
    Stage("preview", "works", command="preview"),
)
