"""What a run found, as a table for people and judged against the aims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.measuring import Result
from bench.workloads import GROWTH_MB_MAX, IN_FLIGHT, SMALL, W5_FACTOR_MAX, W6_FACTOR_MAX, W7_FACTOR_MIN, WORKLOADS

OURS = "integrator"
HEADERS = ("workload", "client", "records", "CPU us", "records/s", "peak MB", "lost", "dup.", "IDs", "start CPU s", "ended")


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, which a terminal shows well too."""
    cells = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headers))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def moving_table(results: Iterable[Result]) -> str:
    """Return one line a run."""
    exact = {True: "exact", False: "WRONG", None: "not told"}
    return table(
        HEADERS,
        [
            (
                r.workload, r.client, f"{r.records:,}", f"{r.cpu_us:,.1f}", f"{r.per_second:,.0f}", f"{r.peak_mb:.0f}", f"{r.lost:,}",
                f"{r.duplicated:,}", exact[r.exact], f"{r.start_cpu_s:.2f}", "well" if r.well else f"STOPPED: {r.said[:60]}",
            )
            for r in results
        ],
    )  # fmt: skip


def verdicts(results: Sequence[Result]) -> list[str]:
    """Return each aim, and whether our run reached it."""
    ours = {(r.workload, r.records): r for r in results if r.client == OURS}
    said = []
    for workload in WORKLOADS:
        found = ours.get((workload.name, workload.records))
        if found and workload.cpu_us_max:
            said.append(_said(f"{workload.name}: CPU per record", found.cpu_us, "us", workload.cpu_us_max))
        if found and workload.per_second_min:
            said.append(_said(f"{workload.name}: records/s", found.per_second, "/s", workload.per_second_min, most=False))
        small, large = ours.get((workload.name, SMALL)), ours.get((workload.name, workload.large))
        if small and large:
            growth = large.peak_mb - small.peak_mb
            said.append(_said(f"{workload.name}: memory, {SMALL:,} to {workload.large:,} records", growth, "MB", GROWTH_MB_MAX))
        dlt = next((r for r in results if r.client == "dlt" and r.workload == workload.name and r.well), None)
        if found and dlt:
            said.append(f"        {workload.name}: dlt needs {dlt.cpu_us / max(found.cpu_us, 0.1):.0f} times as much CPU")
    plain, refused = (next((r for (name, _), r in ours.items() if name == wanted), None) for wanted in ("W1", "W5"))
    plain = next((r for (name, n), r in ours.items() if name == "W1" and refused and n == refused.records), plain)
    if plain and refused:
        said.append(_said("W5: CPU against W1", refused.cpu_us / max(plain.cpu_us, 0.1), "x", W5_FACTOR_MAX))
    said += _looked_up(ours)
    one, many = (next((r for (name, _), r in ours.items() if name == wanted), None) for wanted in ("W7/1", "W7/16"))
    if one and many:
        said.append(_said("W7: 16 slots against one", many.per_second / max(one.per_second, 1), "x", W7_FACTOR_MIN, most=False))
    bad = [r for r in ours.values() if r.lost or r.duplicated or not r.exact or not r.well]
    said.append(
        f"{'SHORT ' if bad else 'reached'} none lost, none twice, exact IDs in {len(ours) - len(bad)} of {len(ours)} runs"
    )
    return said


def _looked_up(ours: dict[tuple[str, int], Result]) -> list[str]:
    found = next((r for (name, _), r in ours.items() if name == "W6"), None)
    if found is None:
        return []
    latency_s = next(w.latency_ms for w in WORKLOADS if w.name == "W6") / 1000
    bound_s = found.calls / IN_FLIGHT * latency_s
    return [
        _said("W6: look-ups for each distinct key", found.look_ups / max(found.look_up_keys, 1), "calls", 1),
        _said(
            f"W6: time against the {bound_s:.1f} s that {IN_FLIGHT} calls in flight allow",
            found.wall_s / max(bound_s, 1e-3),
            "x",
            W6_FACTOR_MAX,
        ),
    ]


def _said(what: str, value: float, unit: str, aim: float, *, most: bool = True) -> str:
    reached = value <= aim if most else value >= aim
    return f"{'reached' if reached else 'SHORT '} {what} {value:,.2f} {unit}; aim {'at most' if most else 'at least'} {aim:g}"


def sound(results: Sequence[Result]) -> bool:
    """Tell whether our own runs lost nothing, wrote nothing twice and named the right IDs."""
    return all(not r.lost and not r.duplicated and r.exact and r.well for r in results if r.client == OURS)
