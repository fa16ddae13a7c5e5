"""What is wrong with a flow's steps that only looking at several of its parts shows."""

from __future__ import annotations

from collections.abc import Iterator

from integrator.mapping.shapes import ShapeFault
from integrator.model.pipe import Flow


def check_steps(flow: Flow, *, repeat_safe: bool) -> list[ShapeFault]:
    """Return the faults, with their path below the flow.

    Args:
        flow: as the pipe says.
        repeat_safe: whether the destination may be given a record twice.
    """
    return [*_then(flow, repeat_safe=repeat_safe), *_later(flow), *_compare(flow), *_conflict(flow), *_hashed(flow)]


def _then(flow: Flow, *, repeat_safe: bool) -> Iterator[ShapeFault]:
    if not flow.then:
        return
    if flow.destination.batch is not None:
        yield ShapeFault(("then",), "then: follows records that are written one by one, not a batch:")
    elif not repeat_safe:
        yield ShapeFault(
            ("then",),
            "then: needs match: (or idempotency:) on the destination: a rerun of a call that failed must not write the record again",
        )


def _later(flow: Flow) -> Iterator[ShapeFault]:
    waits = [("look_up", name, "missing") for name, spec in flow.look_up.items() if spec.missing == "later"]
    places: list[tuple[str, ...]] = [*waits]
    if flow.destination.match is not None and flow.destination.match.missing == "later":
        places.append(("destination", "match", "missing"))
    readable = (
        flow.source.keep_id == "hashed"
        or flow.source.by_id is not None
        or flow.source.connector == "memory"
        or (flow.combine and flow.combine.refetch)
    )
    for place in places:
        if not readable:
            yield ShapeFault(place, "later: each run reads waiting records again by their ID, so the source needs by_id:")


def _compare(flow: Flow) -> Iterator[ShapeFault]:
    if flow.source.since != "compare":
        return
    match = flow.destination.match
    if match is None or match.same != "skip" or match.found != "update":
        yield ShapeFault(
            ("source", "since"), "since: compare writes what differs, so the destination needs match: {found: update, same: skip}"
        )


def _hashed(flow: Flow) -> Iterator[ShapeFault]:
    if flow.source.keep_id == "hashed" and flow.combine is not None:
        yield ShapeFault(
            ("source", "keep_id"), "combined records are read again by their key, so it has to be kept: keep_id: plain"
        )


def _conflict(flow: Flow) -> Iterator[ShapeFault]:
    match = flow.destination.match
    if match is not None and match.conflict is not None and match.found != "update":
        yield ShapeFault(
            ("destination", "match", "conflict"), "conflict: decides whether a found record is updated, so found: must be update"
        )
