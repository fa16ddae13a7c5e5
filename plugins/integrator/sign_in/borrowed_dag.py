"""A line of Airflow's event log that belongs to no DAG, asked for with a DAG's name beside it.

Airflow 3.3 checks `GET /api/v2/eventLogs/{id}` against the line's DAG and, where it has none, against the query's `dag_id`: somebody
who may see one DAG would read any such line by naming theirs. The query means nothing else there, so it is dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

EVENT_LOG = "/eventLogs/"

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class WithoutBorrowedDag:
    """Hands requests on, those for a single line of the event log without their query."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand a request on."""
        if scope["type"] == "http" and EVENT_LOG in scope["path"]:
            scope = {**scope, "query_string": b""}
        await self._app(scope, receive, send)
