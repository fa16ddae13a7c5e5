"""One pipe's DAG and its rerun DAG."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, Param

from integrator.authoring.checking import CheckedPipe
from integrator.authoring.library import RERUN, check_file, names_in
from integrator.dag_build.schedules import needs_zone, schedule_of
from integrator.dag_build.zones import CURE, ZoneOf, ZoneUnknownError
from integrator.model.pipe import After, Pipe
from integrator.model.project import DEFAULT_ZONE
from integrator.notifiers.alert import AlertNotifier
from integrator.operators.faulty_pipe import FaultyPipe
from integrator.operators.move_records import MoveRecords
from integrator.operators.rerun_failed import ALL, CHOICES, IDS_MAX, RerunFailed

START = datetime(2025, 1, 1, tzinfo=UTC)
DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
}
RERUNS_AT_ONCE = 4
FAULTY = "faulty"


def asset_of(project: str, pipe: str, flow: str) -> Asset:
    """Return the asset that a flow's success renews; pipes that run after this one wait for it."""
    return Asset(name=f"{project}.{pipe}.{flow}", uri=f"x-integrator://{project}/{pipe}/{flow}")


def last_flows(pipe: Pipe) -> list[str]:
    """Return the flows that no other flow waits for."""
    awaited = {before for flow in pipe.flows.values() for before in flow.after}
    return [name for name in pipe.flows if name not in awaited]


def dags_of_pipe(checked: CheckedPipe, dags: Path, zone_of: ZoneOf) -> list[DAG]:
    """Return a good pipe's DAG and its rerun DAG.

    Args:
        zone_of: returns a project's time zone; asked only where the pipe's schedule needs it.
    """
    pipe = checked.pipe
    assert pipe is not None  # noqa: S101 - a pipe without faults has one
    return [_main(checked, pipe, dags, zone_of), _rerun(checked, pipe, dags)]


def _main(checked: CheckedPipe, pipe: Pipe, dags: Path, zone_of: ZoneOf) -> DAG:
    schedule, fault = _schedule(checked, pipe, dags, zone_of)
    dag = DAG(
        checked.dag_id,
        description=pipe.description or None,
        schedule=schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=pipe.paused,
        tags={"integrator", checked.project, *([FAULTY] if fault else [])},
        doc_md=fault,
        default_args={**DEFAULTS, "owner": checked.project},
    )
    ends = set(last_flows(pipe))
    with dag:
        tasks = {
            name: MoveRecords(
                task_id=name,
                outlets=[asset_of(checked.project, checked.name, name)] if name in ends else [],
                **_place(checked, name, dags),
                **_alerting(checked, pipe, name),
            )
            for name in pipe.flows
        }
    _order(pipe, tasks)
    return dag


def _schedule(checked: CheckedPipe, pipe: Pipe, dags: Path, zone_of: ZoneOf) -> tuple[Any, str | None]:
    """Return when it runs, and why it does not although it should: its tasks stay as they are, for runs that are under way."""
    if isinstance(pipe.schedule, After):
        return _after(checked, pipe.schedule, dags), None
    try:
        return schedule_of(pipe, zone_of(checked.project) if needs_zone(pipe) else DEFAULT_ZONE), None
    except ZoneUnknownError as unknown:
        return None, f"This pipe does not run by itself: {unknown}. {CURE}"


def _rerun(checked: CheckedPipe, pipe: Pipe, dags: Path) -> DAG:
    dag = DAG(
        f"{checked.dag_id}.{RERUN}",
        description=f"Reruns exactly the failed records of {checked.dag_id}",
        schedule=None,
        start_date=START,
        catchup=False,
        max_active_runs=RERUNS_AT_ONCE,
        is_paused_upon_creation=False,
        tags={"integrator", checked.project, RERUN},
        default_args={**DEFAULTS, "owner": checked.project},
        params=_form(pipe),
        render_template_as_native_obj=False,
    )
    with dag:
        tasks = {
            name: RerunFailed(task_id=name, **_place(checked, name, dags), **_alerting(checked, pipe, name))
            for name in pipe.flows
        }
    _order(pipe, tasks)
    return dag


def _place(checked: CheckedPipe, flow: str, dags: Path) -> dict[str, Any]:
    return {"project": checked.project, "pipe": checked.name, "flow": flow, "dags": str(dags)}


def _alerting(checked: CheckedPipe, pipe: Pipe, flow: str) -> dict[str, Any]:
    """Return what tells people of a flow's end. A task that succeeds may have failed records, within what the flow tolerates."""
    own = pipe.alerts.model_dump(exclude_none=True, mode="json") if pipe.alerts else {}
    tells = AlertNotifier(project=checked.project, pipe=checked.name, flow=flow, alerts=own)
    return {"on_success_callback": [tells], "on_failure_callback": [tells]}


def _order(pipe: Pipe, tasks: dict[str, Any]) -> None:
    for name, flow in pipe.flows.items():
        for before in flow.after:
            tasks[before] >> tasks[name]


def _form(pipe: Pipe) -> dict[str, Param]:
    flows = list(pipe.flows)
    return {
        "which": Param(ALL, type="string", enum=list(CHOICES), title="Which records"),
        "run_id": Param(None, type=["null", "string"], title="Run", description="For failures of one run: the run's ID, as `integrator runs` lists it"),
        "error": Param(None, type=["null", "string"], title="Error class", description="For failures of one error class: its name, such as RecordRefusedError"),
        "entity_ids": Param(
            None, type=["null", "array"], items={"type": "string", "maxLength": 256}, maxItems=IDS_MAX,
            title="IDs", description=f"For these IDs: one a line, at most {IDS_MAX}. They are kept with this run until retention removes it",
        ),
        "flow": Param(None, type=["null", "string"], enum=[None, *flows], title="Flow", description="Empty: every flow"),
        "selection": Param(None, type=["null", "string"], title="Selection", description="Filled in by our own pages; leave empty"),
    }  # fmt: skip


def _after(checked: CheckedPipe, after: After, dags: Path) -> Any:
    """Return the assets of the pipes waited for: the DAG runs once all of them have been renewed."""
    assets: list[Asset] = []
    names = names_in(checked.project, dags)
    for name in after.after:
        for other in (one for file in names.files_of(name) for one in check_file(file, dags, {name})):
            flows = last_flows(other.pipe) if other.pipe and not other.faults else ["faulty"]
            assets += [asset_of(checked.project, name, flow) for flow in flows]
    return assets


def faulty_dag(checked: CheckedPipe, *, rerun: bool) -> DAG:
    """Return the stand-in of a faulty pipe: its DAG id, no schedule, one task that fails with the faults."""
    safe = ".".join(re.sub(r"[^A-Za-z0-9_-]", "_", part)[:100] or "_" for part in (checked.project, checked.name))
    dag = DAG(
        f"{safe}.{RERUN}" if rerun else safe,
        description=f"{len(checked.faults)} fault(s) in {checked.shown}; run it to read them",
        schedule=None,
        start_date=START,
        catchup=False,
        tags={"integrator", checked.project[:100], FAULTY},
        doc_md=f"This pipe does not run. Its faults:\n\n{_as_code(map(str, checked.faults))}",
    )
    with dag:
        FaultyPipe(task_id=FAULTY, faults=[str(fault) for fault in checked.faults], retries=0)
    return dag


def _as_code(lines: Iterable[str]) -> str:
    """Return lines as Markdown that shows every sign as it is, whatever a file's author wrote."""
    return "\n".join(f"    {line}" for text in lines for line in text.splitlines())
