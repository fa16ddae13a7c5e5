"""The proof on a real pipe: it is run once, what flows through is remembered in memory only, and every place is searched for it."""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrator.authoring.checking import CheckedPipe
from integrator.engine.move import Asked
from integrator.engine.running import run_to_end
from integrator.errors import IntegratorError, StopRunError
from integrator.mapping.casts import MisfitError, as_datetime
from integrator.model.run import RunKey, State, Trigger
from integrator.proving.canaries import forms_of
from integrator.proving.proof import Proof, places
from integrator.proving.searching import Search
from integrator.wire.message import Answer, Request
from integrator.wire.redact import Redactor
from integrator.wiring import Parts

SEARCHED_FOR = 100
"""Values that are searched for, each in every form: more would take a search too long."""
HELD_MAX = 200_000
SHORTEST, LONGEST = 10, 150
_TELLING = re.compile(r"(?=.*[A-Za-zÀ-ɏ])(?=.*[0-9@ .,_-])")


class Remembering:
    """Takes the place of a console log and of its tap: notes the values of all that is read and sent, and writes nothing."""

    on = True
    takes_lines = False

    def __init__(self) -> None:
        self.redactor = Redactor()
        self.values: set[str] = set()

    def begin(self, project: str, pipe: str, run_id: str, flow: str) -> None:
        """Begin."""

    def line(self, text: str, entity_id: str | None, values: bytes) -> None:
        """Take none."""

    def note(self, system: str, request: Request, answer: Answer | None, seconds: float, why: str | None = None) -> None:
        """Remember what a call carried."""
        for body in (request.body, answer.body if answer is not None else None):
            if body and len(self.values) < HELD_MAX:
                try:
                    self._walk(json.loads(body))
                except (ValueError, RecursionError):
                    continue  # what is no JSON cannot be taken apart

    def close(self) -> None:
        """End."""

    def _walk(self, value: Any) -> None:
        if isinstance(value, str):
            if SHORTEST <= len(value) <= LONGEST and value.isprintable():
                self.values.add(value)
        elif isinstance(value, (list, dict)):
            for one in value if isinstance(value, list) else value.values():
                self._walk(one)


@dataclass(frozen=True, slots=True)
class RememberingParts(Parts):
    """Parts whose flows tell what flows through them."""

    remembering: Remembering = field(default_factory=Remembering)

    def console_of(self, plan: Any) -> Any:
        """Return what remembers, in place of a log."""
        del plan
        return self.remembering


def prove_live(checked: CheckedPipe, parts: Parts, environ: dict[str, str], order: list[str]) -> Proof:
    """Run the pipe's flows once, and search every place for values of what flowed.

    Raises:
        StopRunError: nothing flowed that could be told from other text, so that nothing would be proven.
    """
    began, proof = time.monotonic(), Proof(datetime.now(UTC), live=True)
    mine = RememberingParts(**{one.name: getattr(parts, one.name) for one in fields(Parts)})
    run = RunKey("", Trigger.MANUAL, actor="prove-no-copy")
    for name in order:
        proof.stages.append({"stage": f"run of {name}", "console_log": False, "exit_code": _moved(mine, checked, name, run)})
    values = _telling(mine.remembering.values, checked, parts)
    if not values:
        raise StopRunError(
            "nothing flowed whose values could be told from other text, so nothing is proven; try it when there is something to move"
        )
    proof.values = len(values)
    forms = {form for one in values for form in forms_of(one)}
    search = Search(forms)
    if not all(search.count(b"before" + form + b"after") for form in forms):
        raise StopRunError("the search does not find what it is shown, so it proves nothing; this is a bug, please report it")
    home = Path(parts.settings.home)
    proof.searched = places(search, environ, parts.settings, home, without=(home / "demo",))
    proof.seconds = round(time.monotonic() - began, 1)
    return proof


def _moved(parts: Parts, checked: CheckedPipe, name: str, run: RunKey) -> int:
    import uuid
    from dataclasses import replace

    try:
        report = run_to_end(parts.move(checked.plans[name], replace(run, run_id=str(uuid.uuid4())), Asked()))
    except IntegratorError:
        return 1  # a run that fails is as good for a proof
    return 0 if report.status.value in ("success", "partial") else 1


def _telling(values: set[str], checked: CheckedPipe, parts: Parts) -> list[str]:
    """Return some values that stand nowhere by chance or by right: no entity ID, vendor code or date, nothing of the pipe's own text."""
    written = checked.file.read_text("utf-8")
    rows = parts.journal.failures(checked.project, checked.name, states=list(State))
    ids = {one for row in rows for one in (row.entity_id, row.code, *row.parts)}
    good = [one for one in values if _TELLING.match(one) and one not in written and one not in ids and not _is_date(one)]
    random.SystemRandom().shuffle(good)
    return good[:SEARCHED_FOR]


def _is_date(value: str) -> bool:
    try:
        as_datetime(value)
    except (MisfitError, ValueError):
        return False
    return True
