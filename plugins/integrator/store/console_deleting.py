"""Deletes console logs so that nothing of them comes back, and says what is left."""

from __future__ import annotations

from collections.abc import Sequence

from integrator.model.console import ConsoleLog, LogState
from integrator.store.console import SqlConsole
from integrator.store.console_files import Objects
from integrator.store.ledger import PLACE


def delete_logs(console: SqlConsole, objects: Objects, logs: Sequence[ConsoleLog]) -> dict[str, int]:
    """Delete logs for good; may be begun again at any time.

    Each is marked first: its writer asks before it writes, and once more after it has written. What remains of a log in the table is that it was deleted.

    Returns:
        How many logs were deleted now, and how many objects with them.

    Raises:
        StopRunError: the store refuses; what was marked stays marked.
    """
    told = {"logs": 0, "objects": 0}
    for log in logs:
        told["logs"] += log.state != LogState.DELETED
        console.mark_deleted(log)
        told["objects"] += objects.delete(log.prefix)
    return told


def left_over(console: SqlConsole, objects: Objects, project: str | None, pipe: str | None) -> list[str]:
    """Return the names of objects that belong to no log that is kept."""
    kept = [log.prefix for log in console.logs(project, pipe)]
    below = "/".join(part for part in (project, pipe) if part is not None)
    found = (name for name in objects.names(f"{below}/" if below else "") if not name.startswith(PLACE))
    return [name for name in found if not any(name.startswith(prefix) for prefix in kept)]
