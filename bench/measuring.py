"""One client on one workload: a run of nothing, the run itself, and what came of it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.clients import Client, Ran, expected_failures
from bench.running import Cost, servers
from bench.workloads import Workload


@dataclass(slots=True)
class Result:
    """What is told of one client on one workload. Start-up, measured with no records, is taken off CPU and wall."""

    client: str
    workload: str
    records: int
    cpu_us: float = 0.0
    """User and system time per record, in microseconds."""
    per_second: float = 0.0
    start_cpu_s: float = 0.0
    start_wall_s: float = 0.0
    peak_mb: float = 0.0
    lost: int = 0
    duplicated: int = 0
    exact: bool | None = None
    """Whether the client names as failed exactly those that were refused; None where it does not say."""
    well: bool = False
    said: str = ""
    server_cpu_s: float = 0.0
    calls: int = 0
    look_ups: int = 0
    look_up_keys: int = 0
    wall_s: float = 0.0


def once(client: Client, workload: Workload, records: int) -> tuple[Ran, dict[str, int | float]]:
    """Run a client against fresh servers; returns how it went and what the destination counted."""
    with servers(workload, records) as two, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ran = client(workload, two, Path(folder).resolve(), records)
        return ran, two.stats()


def started(client: Client, workload: Workload) -> Cost:
    """Return what a run of no records costs: the cheaper of two, since the first also reads files from disk."""
    return min((once(client, workload, 0)[0].cost for _ in range(2)), key=lambda cost: cost.cpu_s)


def measured(name: str, client: Client, workload: Workload, records: int, start: Cost) -> Result:
    """Run a client and work out its numbers."""
    ran, stats = once(client, workload, records)
    cost = replace(ran.cost, cpu_s=ran.cost.cpu_s - start.cpu_s, wall_s=max(ran.cost.wall_s - start.wall_s, 1e-3))
    return Result(
        name, workload.name, records,
        cpu_us=round(cost.cpu_s / records * 1e6, 1), per_second=round(records / cost.wall_s), peak_mb=round(cost.peak_mb, 1),
        start_cpu_s=round(start.cpu_s, 2), start_wall_s=round(start.wall_s, 2),
        lost=int(stats["lost"]), duplicated=int(stats["duplicated"]), server_cpu_s=float(stats["cpu_s"]),
        exact=None if ran.failed_ids is None else ran.failed_ids == expected_failures(workload, records),
        well=ran.well, said=ran.said, calls=int(stats["calls"]), look_ups=int(stats["look_ups"]),
        look_up_keys=int(stats["look_up_keys"]), wall_s=round(cost.wall_s, 3),
    )  # fmt: skip


def as_json(results: list[Result]) -> list[dict[str, object]]:
    """Return results as plain data."""
    return [asdict(one) for one in results]
