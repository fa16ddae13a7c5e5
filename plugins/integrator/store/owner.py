"""Who moves a flow run's records: a name for this process, and whether another one's process is gone."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path

_PROC = Path("/proc")


def new_owner() -> str:
    """Return a name nobody else has, as `host:pid:starttime:uuid`.

    The host part names the kernel's boot and the process namespace too: containers may share a host name,
    and a process number means nothing outside its namespace.
    """
    pid = os.getpid()
    return f"{_host()}:{pid}:{_start_time(pid) or ''}:{uuid.uuid4()}"


def is_dead(owner: str) -> bool:
    """Tell whether that owner's process is certainly gone; False whenever it cannot be known from here."""
    parts = owner.rsplit(":", 3)
    if len(parts) != 4 or parts[0] != _host() or not parts[1].isdigit() or not parts[2] or not _PROC.is_dir():
        return False
    pid = int(parts[1])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # somebody else's process: its start time may still be readable
    started = _start_time(pid)
    return started is not None and started != parts[2]


def _host() -> str:
    name = platform.node().replace(":", "_")
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return name
    return f"{name}/{boot[:8]}/{''.join(c for c in namespace if c.isdigit())}"


def _start_time(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot; `gone` for one that only waits to be reaped."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    words = stat.rpartition(")")[2].split()  # a program's name may hold blanks and brackets
    return "gone" if words[0] in {"Z", "X"} else words[19]
