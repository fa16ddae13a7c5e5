"""`python -m bench`: runs the workloads and prints what they cost; exits 1 when one of our runs lost or doubled a record."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.clients import PEERS, integrator, peer, python_of
from bench.measuring import Result, as_json, measured, started
from bench.report import OURS, moving_table, sound, verdicts
from bench.workloads import SMALL, WORKLOADS, Workload

RESULTS = Path(__file__).parent / "results"
PEER_RECORDS = {"dlt": 20_000, "singer": 5_000, "requests": 20_000}
SLOW_PEER_RECORDS = 1_000
"""Records for a peer that writes them one after the other to a destination with latency."""


def arguments() -> argparse.Namespace:
    """Read what is asked for."""
    asked = argparse.ArgumentParser(prog="bench", description=__doc__)
    asked.add_argument("--only", metavar="W1,W2,...", help="only these workloads")
    asked.add_argument("--records", type=int, help="so many in every run, and none with a million")
    asked.add_argument("--no-million", action="store_true", help="leave out the runs of a million records")
    asked.add_argument("--peers", action="store_true", help="dlt, Singer SDK and a requests loop too")
    asked.add_argument("--dags", action="store_true", help="what 1 to 5,000 pipes cost Airflow")
    asked.add_argument("--signing", action="store_true", help="only what it costs to sign one request, for every scheme")
    asked.add_argument("--purge", action="store_true", help="only what it costs to purge a million failures (or --records)")
    asked.add_argument("--access", action="store_true", help="only what access by project costs a list of 2,000 DAGs")
    asked.add_argument("--smoke", action="store_true", help="a few records of everything, in seconds: does the bench work?")
    return asked.parse_args()


def main() -> None:
    """Run what is asked for."""
    asked = arguments()
    if asked.signing:
        from bench.signing import measure_signing, signing_table

        print(signing_table(measure_signing()))
        return
    if asked.purge:
        from bench.purge import measure_purge, purge_table

        print(purge_table(measure_purge(asked.records or 1_000_000)))
        return
    if asked.access:
        from bench.access import access_table, measure_access

        print(access_table(measure_access()))
        return
    chosen = [w for w in WORKLOADS if not asked.only or w.name in asked.only.split(",")]
    if asked.smoke:
        chosen = [replace(w, records=w.smoke, large=0) for w in chosen]
    elif asked.records or asked.no_million:
        chosen = [replace(w, records=asked.records or w.records, large=0) for w in chosen]
    found = moving(chosen, peers=asked.peers, small=not (asked.smoke or asked.records))
    told: dict[str, object] = {"machine": f"{os.cpu_count()} cores", "moving": as_json(found)}
    print(f"\n{moving_table(found)}\n")
    print(*verdicts(found), sep="\n")
    if asked.dags:
        from bench.dags import dags_table, measure_dags

        pipes = measure_dags()
        told["dags"] = pipes
        print(f"\n{dags_table(pipes)}")
    if not asked.smoke:
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
        file.write_text(json.dumps(told, indent=1))
        print(f"\nkept in bench/results/{file.name}")
    sys.exit(0 if sound(found) else 1)


def moving(chosen: list[Workload], *, peers: bool, small: bool) -> list[Result]:
    """Run every client on every workload, one at a time."""
    found: list[Result] = []
    start = started(integrator, WORKLOADS[0])
    for workload in chosen:
        sizes = [SMALL] * (small and workload.large > 0) + [workload.records] + [workload.large] * (workload.large > 0)
        found += [_told(measured(OURS, integrator, workload, records, start)) for records in sizes]
        for name in PEERS if peers and not workload.ntlm_slots else ():
            found += _peer(name, workload)
    return found


def _peer(name: str, workload: Workload) -> list[Result]:
    if not python_of(name).exists():
        print(f"!! {PEERS[name]} IS NOT INSTALLED and left out: scripts/bench --peers installs it", file=sys.stderr)
        return []
    records = min(PEER_RECORDS[name], SLOW_PEER_RECORDS if workload.latency_ms else 10**9, workload.records)
    return [_told(measured(name, peer(name), workload, records, started(peer(name), workload)))]


def _told(result: Result) -> Result:
    print(f"{result.workload} {result.client}: {result.cpu_us:,.1f} us, {result.per_second:,.0f}/s", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    main()
