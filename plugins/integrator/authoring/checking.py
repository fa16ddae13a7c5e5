"""All faults of a pipe at once: its shape by pydantic, its expressions and templates by compiling them, its order by walking it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from integrator.authoring.planning import FlowPlan, plan_flow
from integrator.authoring.reading import Document, Fault, YamlPath, show_path
from integrator.authoring.salvage import plain_loc, salvage
from integrator.mapping.casts import MisfitError, zone
from integrator.model.names import NAME
from integrator.model.pipe import After, Every, Pipe
from integrator.model.run import FlowKey
from integrator.registry import near

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@once")
_NAME = re.compile(NAME)
_CRON_FIELD = r"[\d*/,\-a-zA-Z#L]+"
_CRON = re.compile(rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$")


@dataclass(slots=True)
class CheckedPipe:
    """A pipe file after checking: a pipe that may run, or its faults."""

    project: str
    name: str
    file: Path
    shown: str
    pipe: Pipe | None = None
    faults: list[Fault] = field(default_factory=list)
    plans: dict[str, FlowPlan] = field(default_factory=dict)
    document: Document | None = field(default=None, repr=False)

    @property
    def dag_id(self) -> str:
        """Airflow's name for it."""
        return f"{self.project}.{self.name}"

    def fault(self, path: YamlPath, message: str, cure: str = "") -> None:
        """Add a fault at a YAML path."""
        line = self.document.line_of(path) if self.document else 1
        self.faults.append(Fault(self.shown, line, show_path(path), message, cure))


def check(checked: CheckedPipe, document: Document) -> CheckedPipe:
    """Check a document and return the pipe with its compiled flows, or every fault of it."""
    checked.document = document
    checked.faults += document.faults
    if not _NAME.match(checked.name) or len(checked.name) > 64:
        checked.fault(
            (),
            f"{checked.name!r} is no pipe name",
            "name the file in lower case, digits and single underscores, such as web_orders.yaml",
        )
    if document.data is None:
        return checked
    if not isinstance(document.data, dict):
        checked.fault((), "a pipe is an object with flows:", "see docs/tutorial.md")
        return checked
    try:
        checked.pipe = Pipe.model_validate(document.data)
        looked_at: Pipe | None = checked.pipe
        removed: list[YamlPath] = []
    except ValidationError as error:
        _explain(checked, error)
        looked_at, removed = salvage(document.data)
    if looked_at is not None:
        _look_deeper(checked, looked_at, removed)
    checked.faults.sort(key=lambda fault: fault.line)
    return checked


def _look_deeper(checked: CheckedPipe, pipe: Pipe, removed: list[YamlPath]) -> None:
    """Compile what is there, so that one look shows all that is wrong; what was taken out has its fault already."""
    before = len(checked.faults)
    _check_schedule(checked, pipe)
    _check_order(checked, pipe)
    _check_reruns(checked, pipe)
    for name, flow in pipe.flows.items():
        plan = plan_flow(FlowKey(checked.project, checked.name, name), flow, pipe.tables)
        checked.plans[name] = plan
        for fault in plan.faults:
            checked.fault(("flows", name, *fault.path), fault.message)
    taken_out = {show_path(path) for path in removed}
    checked.faults[before:] = [fault for fault in checked.faults[before:] if fault.path not in taken_out]


def _explain(checked: CheckedPipe, error: ValidationError) -> None:
    said: set[tuple[str, str]] = set()
    data = checked.document.data if checked.document else None
    for one in error.errors(include_url=False, include_context=True, include_input=False):
        loc = plain_loc(one["loc"], data)
        if _of_another_branch(one, loc, data):
            continue
        path, message, cure = _words(loc, one, checked)
        if (show_path(path), message) not in said:
            said.add((show_path(path), message))
            checked.fault(path, message, cure)


def _of_another_branch(one: Mapping[str, Any], loc: YamlPath, data: Any) -> bool:
    """Tell whether an error is of the branch that was not meant, where a word or an object may stand."""
    there = data
    try:
        for step in loc:
            there = there[step]
    except (KeyError, IndexError, TypeError):
        return False
    word = str(one["loc"][-1]).startswith("literal[")
    return (word and isinstance(there, dict)) or (
        one["type"] in ("model_type", "model_attributes_type") and len(one["loc"]) > len(loc) and isinstance(there, str)
    )


def _words(loc: YamlPath, one: Mapping[str, Any], checked: CheckedPipe) -> tuple[YamlPath, str, str]:
    kind, last = one["type"], loc[-1] if loc else ""
    if kind == "extra_forbidden":
        return loc, f"unknown key {last!r}", near(str(last), known_keys(loc[:-1]))
    if kind == "missing":
        return loc[:-1] or loc, f"{last!r} is missing", f"add {last}:"
    if kind == "string_pattern_mismatch" or (last == "[key]"):
        path = loc[:-1] if last == "[key]" else loc
        return (
            path,
            "a name has lower case letters, digits and single underscores, and begins with a letter",
            "such as web_orders",
        )
    message = str(one["msg"]).removeprefix("Value error, ")
    return loc, message[:1].lower() + message[1:], ""


def known_keys(path: YamlPath) -> Iterable[str]:
    """Return the keys that the format knows at a YAML path."""
    model: Any = Pipe
    for step in path:
        if isinstance(step, int) or model is None:
            continue
        found = model.model_fields.get(step) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = _model_in(found.annotation) if found is not None else model
    known: Any = model if isinstance(model, type) and issubclass(model, BaseModel) else Pipe
    return [one.alias or name for name, one in known.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _check_schedule(checked: CheckedPipe, pipe: Pipe) -> None:
    try:
        zone(pipe.timezone or "UTC")
    except MisfitError as fault:
        checked.fault(("timezone",), str(fault))
    schedule = pipe.schedule
    if isinstance(schedule, Every):
        if schedule.every.total_seconds() < 10:
            checked.fault(("schedule",), "a pipe runs at most every 10 seconds", "every: 10s or more")
    elif isinstance(schedule, After):
        if checked.name in schedule.after:
            checked.fault(("schedule", "after"), "a pipe cannot run after itself")
    elif schedule is not None:
        for at, cron in enumerate(schedule if isinstance(schedule, list) else [schedule]):
            path = ("schedule", at) if isinstance(schedule, list) else ("schedule",)
            _check_cron(checked, path, cron)


def _check_cron(checked: CheckedPipe, path: YamlPath, cron: str) -> None:
    if cron.startswith("@"):
        if cron not in PRESETS:
            checked.fault(path, f"no preset {cron!r}", near(cron, PRESETS))
    elif not _CRON.match(cron) or not _cron_in_range(cron):
        checked.fault(path, f"{cron!r} is no cron", 'five fields: minute hour day month weekday, such as "*/15 * * * *"')


def _cron_in_range(cron: str) -> bool:
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    for text, (low, high) in zip(cron.split(), bounds, strict=True):
        for number in re.findall(r"(?<![/#\d])\d+", text):
            if not low <= int(number) <= high:
                return False
        if re.search(r"/0*(?!\d)", text) and not re.search(r"/0*[1-9]", text):
            return False
    return True


def _check_reruns(checked: CheckedPipe, pipe: Pipe) -> None:
    for name, flow in pipe.flows.items():
        readable = (
            flow.source.keep_id == "hashed"
            or flow.source.by_id is not None
            or (flow.combine is not None and flow.combine.refetch is not None)
        )
        if flow.rerun.automatic and not readable and flow.source.connector == "rest":
            checked.fault(
                ("flows", name, "rerun"),
                "a rerun reads records by their ID, and the source has no by_id:",
                "add by_id: to source:",
            )


def _check_order(checked: CheckedPipe, pipe: Pipe) -> None:
    for name, flow in pipe.flows.items():
        for at, before in enumerate(flow.after):
            if before not in pipe.flows:
                checked.fault(("flows", name, "after", at), f"no flow {before!r} in this pipe", near(before, pipe.flows))
    done: set[str] = set()
    while ready := {n for n, f in pipe.flows.items() if n not in done and all(b in done or b not in pipe.flows for b in f.after)}:
        done |= ready
    for name in pipe.flows:
        if name not in done:
            checked.fault(("flows", name, "after"), "flows wait for each other in a circle", "remove one of the after:")
