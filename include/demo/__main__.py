"""`python -m demo shop|erp` serves; `python -m demo repair|break|reset|counts` asks the running ERP."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from demo.access import door

SAYS = {
    "repair": "The ERP is repaired: it now takes orders without a postcode and with any carrier. Rerun what failed: "
    "in Airflow trigger the DAG demo.orders.rerun, or run: integrator rerun demo/orders --all",
    "break": "The ERP refuses odd orders again.",
    "reset": "The ERP has forgotten every order. Read all of them again with: integrator run demo/orders --full",
    "counts": "",
}


def main() -> int:
    """Serve one of the two, or ask the ERP; returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("what", choices=["shop", "erp", *SAYS])
    parser.add_argument("--home", type=Path, help="home folder; its env file holds the addresses and secrets")
    parser.add_argument("--port", type=int, help="port to serve on; default: the one in the connection")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--orders", type=int, default=2_000, help="how many orders the shop has")
    parser.add_argument("--forget", action="store_true", help="keep nothing in the home folder")
    chosen = parser.parse_args()
    if chosen.what in SAYS:
        return _ask(chosen.what, chosen.home)
    _serve(chosen)
    return 0


def _serve(chosen: argparse.Namespace) -> None:
    from demo import erp, serving, shop

    here = door(chosen.what, chosen.home)
    kept = None if chosen.forget else chosen.home
    latency_s = chosen.latency_ms / 1_000
    application = (
        shop.application(here, kept, latency_s, chosen.orders)
        if chosen.what == "shop"
        else erp.application(here, kept, latency_s)
    )
    serving.serve(application, chosen.port or here.port)


def _ask(action: str, home: Path | None) -> int:
    erp = door("erp", home)
    request = urllib.request.Request(  # noqa: S310 - the address is our own connection's
        f"{erp.url}/admin/{action}",
        method="GET" if action == "counts" else "POST",
        headers={"Authorization": f"Bearer {erp.secret}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            counts = json.load(reply)
    except (urllib.error.URLError, OSError) as error:
        print(f"The ERP at {erp.url} does not answer ({error}). Is scripts/run up?", file=sys.stderr)
        return 1
    if SAYS[action]:
        print(SAYS[action], file=sys.stderr)
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
