"""What became of a flow in one of Airflow's runs, as an alert tells it."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from integrator.model.alerts import IDS_TOLD, Told
from integrator.model.run import State
from integrator.store.database import reading
from integrator.store.flow_runs import counts_of
from integrator.store.tables import failures, flow_runs, runs

_OPEN = (State.OPEN, State.WAITING, State.RETRYING)
_COUNTED = ("read", "created", "updated", "deleted", "skipped", "waiting", "failed", "unknown")


def happened(engine: Engine, project: str, pipe: str, flow: str, dag_id: str = "", dag_run_id: str = "") -> Told:
    """Return what an alert tells of a flow in one of Airflow's runs, or of its newest flow run; one that never came to be is failed. Raises as `store.database.ours`."""
    of = (flow_runs.c.project == project) & (flow_runs.c.pipe == pipe) & (flow_runs.c.flow == flow)
    if dag_id:
        of &= (runs.c.dag_id == dag_id) & (runs.c.dag_run_id == dag_run_id)
    order = (flow_runs.c.started_at.desc(), flow_runs.c.ordinal.desc())
    newest = select(flow_runs).join(runs, runs.c.id == flow_runs.c.run_id).where(of).order_by(*order).limit(1)
    with reading(engine) as c:
        row = c.execute(newest).first()
        if row is None:
            return Told("run", project, pipe, flow, "failed")
        f = failures.c
        mine = (f.project == project) & (f.pipe == pipe) & (f.flow == flow) & f.state.in_(_OPEN) & (f.flow_run_id == row.id)
        errors = c.execute(select(failures.c.error, func.count()).where(mine).group_by(failures.c.error)).all()
        ids = tuple(c.scalars(select(failures.c.entity_id).where(mine).order_by(failures.c.id).limit(IDS_TOLD)))
    counts = counts_of(row).as_dict()
    by_class = {str(error): int(count) for error, count in errors}
    told = {name: int(counts[name]) for name in _COUNTED if counts[name]}
    # A run that is taken for running is one that was killed: whoever asks was told by Airflow that it is over.
    status = row.status if row.status in ("partial", "success") else "failed"
    more = max(0, sum(by_class.values()) - len(ids))
    return Told("run", project, pipe, flow, status, row.run_id, told, by_class, ids, more)
