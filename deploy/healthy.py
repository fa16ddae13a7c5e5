# ruff: noqa: INP001 - a file of the image, in no package
"""Tells whether a part of Airflow is healthy, by exit code: `python healthy.py scheduler`.

It asks the API server, which knows the parts' heartbeats; Airflow's own check would start a whole Airflow each time.
"""

import json
import os
import sys
import urllib.request

URL = os.environ.get("INTEGRATOR_HEALTH_URL", "http://api-server:8080/api/v2/monitor/health")


def main(part: str) -> int:
    """Return 0 when the part, or for `api-server` the metadata database, is healthy."""
    try:
        with urllib.request.urlopen(URL, timeout=5) as answer:  # noqa: S310 - our own address
            parts = json.load(answer)
    except (OSError, ValueError):
        return 1
    wanted = "metadatabase" if part == "api-server" else part
    return int((parts.get(wanted) or {}).get("status") != "healthy")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
