"""What a change of a pipe brings with it that is easily missed, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from integrator.model.pipe import Delete, Flow, Pipe

GOES = "its DAGs go away; its runs, cursors and open failures stay in the journal under this name"
_SET = "look at it with `integrator cursor show`, set it with `integrator cursor set`"


def consequences(old: Pipe | None, new: Pipe | None) -> Iterator[str]:
    """Yield what people should know before a pipe goes from one state to the other."""
    if old is None or new is None:
        if old is not None:
            yield GOES
        return
    if old.paused != new.paused:
        yield "paused: says how a new DAG starts; this one exists, so pause or unpause it in Airflow"
    for name, flow in old.flows.items():
        if name in new.flows:
            yield from (f"flow {name}: {said}" for said in _of_flow(flow, new.flows[name]))
        else:
            yield _goes(name, flow, old, new)


def _goes(name: str, flow: Flow, old: Pipe, new: Pipe) -> str:
    called = next((other for other, made in new.flows.items() if other not in old.flows and made == flow), None)
    if called is None:
        return f"flow {name} goes away; its cursor and open failures stay in the journal under that name"
    starts = f"; {called} has no cursor and reads from the start ({_SET})" if flow.source.delta else ""
    return f"flow {name} is called {called} now; its cursor and open failures stay in the journal under the old name{starts}"


def _of_flow(was: Flow, now: Flow) -> Iterator[str]:
    if _identity(was) != _identity(now):
        yield "the entity ID changes, so open failures and what the cursor's edge remembers no longer fit"
    yield from _of_cursor(was, now)
    if was.destination.match is not None and now.destination.match is None:
        yield "without match:, what was written before is not found again, so it may be written twice, by reruns too"
    if was.shadow and not now.shadow:
        yield "the shadow ends; the next run writes"
    yield from _of_delete(was.destination.delete, now.destination.delete)


def _identity(flow: Flow) -> tuple[object, ...]:
    return (flow.source.entity_id, flow.combine.by if flow.combine else None, flow.split.key if flow.split else None)


def _of_cursor(was: Flow, now: Flow) -> Iterator[str]:
    before, after = was.source.delta, now.source.delta
    if before is None or after is None:
        return
    if (before.field, before.format, before.zone) != (after.field, after.format, after.zone):
        yield f"since: changes and the cursor stays; {_SET}"
    if (was.source.connector, was.source.credential) != (now.source.connector, now.source.credential):
        yield f"it reads from another system and the cursor stays; {_SET}"


def _of_delete(was: Delete | None, now: Delete | None) -> Iterator[str]:
    if now is None or was == now:
        return
    if was is not None and _raised(was, now):
        yield f"delete.at_most goes from {_share(was)} to {_share(now)}, so one run may delete more"
    if was is None or was.model_copy(update={"at_most": now.at_most}) != now:
        yield "what is deleted changes; look first with `integrator preview`"


def _raised(was: Delete, now: Delete) -> bool:
    """Tell whether more may go; a number and a share cannot be compared, so a change between them counts as more."""
    same_kind = isinstance(was.at_most, int) is isinstance(now.at_most, int)
    return now.at_most > was.at_most if same_kind else now.at_most > 0


def _share(delete: Delete) -> str:
    return str(delete.at_most) if isinstance(delete.at_most, int) else f"{delete.at_most * 100:g}%"
