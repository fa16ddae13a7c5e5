"""Many rows to one record, compiled: what rows have in common, what is added up, and which paths of a row are read for it."""

from __future__ import annotations

from dataclasses import dataclass

from integrator.connectors.entity import Steps
from integrator.mapping.compile import Paths
from integrator.mapping.expression import ExpressionError, path_steps
from integrator.mapping.generate import EACH
from integrator.mapping.shapes import ShapeFault
from integrator.model.pipe import Combine, Flow


@dataclass(slots=True)
class CombinePlan:
    """How rows become a record: name of a member -> where it stands in a row."""

    spec: Combine
    by: dict[str, Steps]
    sum: dict[str, Steps]
    first: dict[str, Steps]
    last: dict[str, Steps]

    @property
    def names(self) -> str | list[str]:
        """The combined record's members that are its ID."""
        names = list(self.by)
        return names[0] if isinstance(self.spec.by, str) else names

    def row_paths(self, paths: Paths) -> Paths:
        """Return which paths of a row are read, where these are read of the combined record."""
        wanted: Paths = {*self.by.values(), *self.sum.values(), *self.first.values(), *self.last.values()}
        for path in paths:
            if self.spec.list and path and path[0] == self.spec.list:
                if len(path) == 1:
                    wanted.add(())
                elif path[1] == EACH:
                    wanted.add(path[2:]) if len(path) > 2 else None
                else:
                    wanted.add(())
        return wanted


def compile_combine(flow: Flow, faults: list[ShapeFault]) -> CombinePlan | None:
    """Compile; faults are added to the list, with their path below the flow."""
    spec = flow.combine
    if spec is None:
        return None
    made: dict[str, dict[str, Steps]] = {"by": {}, "sum": {}, "first": {}, "last": {}}
    taken: set[str] = set()
    for kind, members in made.items():
        given = getattr(spec, kind)
        for text in [given] if isinstance(given, str) else given:
            try:
                path = path_steps(text)
            except ExpressionError as fault:
                faults.append(ShapeFault(("combine", kind), str(fault)))
                continue
            name = str(path[-1])
            if name in taken or name == spec.list:
                faults.append(ShapeFault(("combine", kind), f"the combined record would have two members {name!r}"))
            taken.add(name)
            members[name] = path
    if flow.source.delta is not None and spec.refetch is None:
        said = 'with since: only changed rows are read; refetch: reads all rows of a changed key, such as refetch: {params: {sku: "{sku}"}}'
        faults.append(ShapeFault(("combine",), said))
    if flow.source.by_id is not None:
        faults.append(ShapeFault(("source", "by_id"), "combined records are read again by combine.refetch, not by by_id:"))
    if flow.source.connector != "rest" and spec.refetch is not None:
        faults.append(
            ShapeFault(("combine", "refetch"), f"a {flow.source.connector} source cannot be asked for the rows of one key")
        )
    return CombinePlan(spec, made["by"], made["sum"], made["first"], made["last"])
