"""Deletes rows of Airflow's own tables that belong to our DAGs: runs that are over, with all that hangs on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, exists, func, inspect, or_, select, table, true, tuple_
from sqlalchemy import column as column_of

from integrator.errors import StopRunError
from integrator.store.airflow_tables import (
    ARCHIVE_PREFIXES,
    BY_AGE,
    OF_BACKFILL,
    OF_RUN,
    OF_VERSION,
    TABLES,
    ByAge,
    OfRun,
    Through,
)
from integrator.store.database import reading
from integrator.store.in_steps import Steps

RUNS_AT_ONCE = 200
DAGS_AT_ONCE = 200
OVER = ("success", "failed")
"""States of a run that is over. One that is queued or runs is never touched."""
SCHEDULED = ("scheduled", "backfill")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to go.

    Attributes:
        dag_ids: of these DAGs of ours.
        alive: those of them that may run again.
        before: runs that ended before this, and rows that are older.
        run_id: only this run's, by Airflow's name for it.
    """

    dag_ids: Sequence[str]
    alive: Sequence[str]
    before: datetime
    run_id: str | None = None

    def parts(self) -> Iterator[Scope]:
        """Yield scopes of a few DAGs each: no statement takes thousands of names."""
        alive = set(self.alive)
        for start in range(0, len(self.dag_ids), DAGS_AT_ONCE):
            some = self.dag_ids[start : start + DAGS_AT_ONCE]
            yield Scope(some, [one for one in some if one in alive], self.before, self.run_id)


class AirflowRows:
    """Airflow's database, through the connection that only the purge has.

    Args:
        engine: of `store.database.open_engine`.

    Raises:
        StopRunError: it is not the database of an Airflow that we know.
    """

    def __init__(self, engine: Engine, *, dry: bool = False) -> None:
        self._engine, self._dry = engine, dry
        self.steps = Steps(engine)
        there = set(inspect(engine).get_table_names())
        if missing := sorted(set(TABLES) - there):
            raise StopRunError(
                f"INTEGRATOR_MAINTENANCE_CONN names a database without Airflow's table {missing[0]}; it must be Airflow's own, of Airflow 3.3"
            )
        self._place = "ctid" if engine.dialect.name == "postgresql" else "rowid"  # a copy has no primary key
        self._archives = sorted(name for name in there if name.startswith(ARCHIVE_PREFIXES))

    def purge(self, scope: Scope) -> dict[str, int]:
        """Delete, or count, what is in scope; returns how many rows, by table."""
        told: dict[str, int] = {}
        for part in scope.parts():
            for name, count in (*self._runs(part), *self._by_age(part), *self._versions(part), *self._archived(part)):
                told[name] = told.get(name, 0) + count
        return {name: count for name, count in told.items() if count}

    def unattributed(self) -> list[str]:
        """Return archive tables with rows that name no DAG, so that nobody can tell whose they are."""
        found = []
        for name in self._archives:
            if "dag_id" not in self._columns(name):
                with reading(self._engine) as c:
                    if c.execute(select(func.count()).select_from(table(name))).scalar_one():
                        found.append(name)
        return found

    # -- runs

    def _runs(self, scope: Scope) -> Iterator[tuple[str, int]]:
        over = _over(scope)
        if self._dry:
            for rule in OF_RUN:
                yield rule.table, self.steps.count(TABLES[rule.table], _hangs_on(rule, over))
            yield "dag_run", self.steps.count(TABLES["dag_run"], over & ~_stays(scope))
            return
        yield from self._in_batches(over & ~_stays(scope), with_runs=True)
        yield from self._in_batches(over & _stays(scope), with_runs=False)

    def _in_batches(self, where: ColumnElement[bool], *, with_runs: bool) -> Iterator[tuple[str, int]]:
        """Take some runs after the others, each batch's rows first. A run that is begun again meanwhile is left alone from then on."""
        d, last = TABLES["dag_run"], -1
        while True:
            with reading(self._engine) as c:
                ids = list(c.scalars(select(d.c.id).where(where, d.c.id > last).order_by(d.c.id).limit(RUNS_AT_ONCE)))
            if not ids:
                return
            last = ids[-1]
            these = where & d.c.id.in_(ids)
            for rule in OF_RUN:
                yield rule.table, self.steps.delete(TABLES[rule.table], rule.keys, _hangs_on(rule, these))
            if with_runs:
                yield "dag_run", self.steps.delete(d, ("id",), these)

    # -- what goes by its own age

    def _by_age(self, scope: Scope) -> Iterator[tuple[str, int]]:
        for rule in BY_AGE:
            if scope.run_id is None or rule.run is not None:
                yield rule.table, self._gone(rule.table, rule.keys, _aged(rule, scope), walk=len(rule.keys) == 1)

    def _versions(self, scope: Scope) -> Iterator[tuple[str, int]]:
        """Take what nothing needs any more. What is asked is what will stay, so that a dry run counts the same."""
        if scope.run_id is not None:
            return
        backfills = _done_backfills(scope)
        for name, keys in OF_BACKFILL:
            t = TABLES[name]
            where = backfills if name == "backfill" else t.c.backfill_id.in_(select(TABLES["backfill"].c.id).where(backfills))
            yield name, self._gone(name, keys, where)
        v, s = TABLES["dag_version"], TABLES["serialized_dag"]
        old = _old_versions(scope)
        of_old = select(v.c.id).where(old)
        for name, keys in OF_VERSION:
            t = TABLES[name]
            if name == "dag_version":
                where = old
            elif name == "deadline_alert":
                where = t.c.serialized_dag_id.in_(select(s.c.id).where(s.c.dag_version_id.in_(of_old)))
            else:
                where = t.c.dag_version_id.in_(of_old)
            yield name, self._gone(name, keys, where)

    def _archived(self, scope: Scope) -> Iterator[tuple[str, int]]:
        """Take copies that `airflow db clean` made, whatever their age: what they are copies of is gone."""
        for name in self._archives:
            columns = self._columns(name)
            if "dag_id" not in columns or (scope.run_id is not None and "run_id" not in columns):
                continue
            copy = table(name, *map(column_of, [*columns, self._place]))
            where = copy.c.dag_id.in_(scope.dag_ids) & (true() if scope.run_id is None else copy.c.run_id == scope.run_id)
            yield name, self.steps.count(copy, where) if self._dry else self.steps.delete(copy, (self._place,), where)

    def _columns(self, name: str) -> list[str]:
        return [str(one["name"]) for one in inspect(self._engine).get_columns(name)]

    def _gone(self, name: str, keys: tuple[str, ...], where: ColumnElement[bool], *, walk: bool = False) -> int:
        t = TABLES[name]
        if self._dry:
            return self.steps.count(t, where)
        return self.steps.walk(t, keys[0], where) if walk else self.steps.delete(t, keys, where)


def _over(scope: Scope) -> ColumnElement[bool]:
    d = TABLES["dag_run"]
    ended = func.coalesce(d.c.end_date, d.c.start_date, d.c.run_after)
    this = true() if scope.run_id is None else d.c.run_id == scope.run_id
    return and_(d.c.dag_id.in_(scope.dag_ids), d.c.state.in_(OVER), ended < scope.before, this)


def _stays(scope: Scope) -> ColumnElement[bool]:
    """Return which run stays as a bare row: without a DAG's newest scheduled one the scheduler would start it anew, long after it was done."""
    d = TABLES["dag_run"]
    other = d.alias("newest")
    newest = (
        select(func.max(other.c.logical_date))
        .where(other.c.dag_id == d.c.dag_id, other.c.run_type.in_(SCHEDULED))
        .scalar_subquery()
    )
    return and_(d.c.dag_id.in_(scope.alive), d.c.run_type.in_(SCHEDULED), func.coalesce(d.c.logical_date == newest, False))


def _hangs_on(rule: OfRun, over: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return which rows of a table hang on those runs."""
    t, d, n = TABLES[rule.table], TABLES["dag_run"], TABLES["deadline"]
    pairs = select(d.c.dag_id, d.c.run_id).where(over)
    found: ColumnElement[bool]
    match rule.through:
        case Through.PAIR:
            return tuple_(*(t.c[name] for name in rule.columns)).in_(pairs)
        case Through.RUN:
            found = t.c[rule.columns[0]].in_(select(d.c.id).where(over))
        case Through.DEADLINE:
            found = t.c[rule.columns[0]].in_(select(n.c.callback_id).where(n.c.dagrun_id.in_(select(d.c.id).where(over))))
        case Through.TASK | Through.TASK_HISTORY:
            other = TABLES["task_instance" if rule.through is Through.TASK else "task_instance_history"]
            key = other.c["id" if rule.through is Through.TASK else "task_instance_id"]
            found = t.c[rule.columns[0]].in_(select(key).where(tuple_(other.c.dag_id, other.c.run_id).in_(pairs)))
    return found


def _aged(rule: ByAge, scope: Scope) -> ColumnElement[bool]:
    t = TABLES[rule.table]
    conditions: list[Any] = [t.c[rule.dag].in_(scope.dag_ids), t.c[rule.at] < scope.before]
    if rule.pending is not None:
        conditions.append(t.c[rule.pending].is_not(None))
    if rule.run is not None and scope.run_id is not None:
        conditions.append(t.c[rule.run] == scope.run_id)
    if rule.awaited_by is not None:
        p = TABLES["asset_partition_dag_run"]
        waiting = select(p.c.id).where(p.c.created_dag_run_id.is_(None))
        conditions.append(func.coalesce(t.c[rule.awaited_by].not_in(waiting), True))
    return and_(*conditions)


def _old_versions(scope: Scope) -> ColumnElement[bool]:
    """Return versions that are old, not their DAG's newest, and of which no run or task is left once the runs in scope are gone."""
    v, d = TABLES["dag_version"], TABLES["dag_run"]
    newer = v.alias("newer")
    follows = exists(select(newer.c.id).where(newer.c.dag_id == v.c.dag_id, newer.c.created_at > v.c.created_at))
    over = _over(scope)
    left = [~exists(select(d.c.id).where(d.c.created_dag_version_id == v.c.id, or_(~over, _stays(scope))))]
    gone = select(d.c.dag_id, d.c.run_id).where(over)
    for name in ("task_instance", "task_instance_history"):
        t = TABLES[name]
        left.append(~exists(select(t.c.dag_id).where(t.c.dag_version_id == v.c.id, tuple_(t.c.dag_id, t.c.run_id).not_in(gone))))
    return and_(v.c.dag_id.in_(scope.dag_ids), v.c.created_at < scope.before, follows, *left)


def _done_backfills(scope: Scope) -> ColumnElement[bool]:
    b, d = TABLES["backfill"], TABLES["dag_run"]
    needed = exists(select(d.c.id).where(d.c.backfill_id == b.c.id, or_(~_over(scope), _stays(scope))))
    return and_(b.c.dag_id.in_(scope.dag_ids), b.c.completed_at < scope.before, ~needed)
