"""Ends the parts when the launcher itself is gone: `python -m integrator.launching.keeper`.

It reads session numbers from its standard input, one a line. The input ends when the launcher does, however it
was ended; then the keeper ends the sessions. It also holds the home's lock until that is done.
"""

from __future__ import annotations

import contextlib
import signal
import sys

from integrator.launching.sessions import end


def main() -> None:
    """Wait for the launcher to be gone, then end what it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions = []
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            sessions.append(int(line))
    end(sessions)


if __name__ == "__main__":
    main()
