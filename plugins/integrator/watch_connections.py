"""Erases a connection's secrets when the place that they go to is changed in Airflow's own form or API. Source: PRODUCT.md P2.

Airflow fills hidden values in again when a connection is saved; without this, whoever may edit a connection could send
its secret to a host of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import event, inspect

from integrator.auth.moved_secrets import without_moved_secrets
from integrator.model.credential import CONN_TYPE_PREFIX
from integrator.registry import SCHEMES

MODEL = "airflow.models.connection"


def watch_connections() -> None:
    """Listen to changes of Airflow's connections, in a process that has its models: the API server, not a task."""
    if MODEL in sys.modules and not event.contains(sys.modules[MODEL].Connection, "before_update", _before_update):
        event.listen(sys.modules[MODEL].Connection, "before_update", _before_update)


def _before_update(_mapper: Any, _connection: Any, target: Any) -> None:
    scheme = str(target.conn_type or "").replace("-", "_").removeprefix(CONN_TYPE_PREFIX)
    if scheme not in SCHEMES:
        return
    state = inspect(target)
    hosts, extras = state.attrs.host.history, state.attrs._extra.history  # noqa: SLF001 - the column's name in Airflow's model
    if not (hosts.has_changes() or extras.has_changes()):
        return
    before = _decrypted(extras.deleted[0]) if extras.has_changes() and extras.deleted else _read(target.extra)
    old_host = hosts.deleted[0] if hosts.has_changes() and hosts.deleted else target.host
    after = _read(target.extra)
    left = without_moved_secrets(scheme, (old_host, before), (target.host, after))
    if left != after:
        target.set_extra(json.dumps(left))


def _decrypted(sealed: str | None) -> Mapping[str, Any]:
    if not sealed:
        return {}
    from airflow.models.crypto import get_fernet

    try:
        return _read(get_fernet().decrypt(sealed.encode()).decode())
    except (InvalidToken, ValueError):
        return {}  # with what cannot be read nothing can be the same


def _read(text: str | None) -> Mapping[str, Any]:
    try:
        made = json.loads(text or "{}")
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}
