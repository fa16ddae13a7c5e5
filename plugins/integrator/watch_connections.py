"""Erases a connection's secrets when the place that they go to is changed in Airflow's own form or API. Source: PRODUCT.md P2.

Airflow fills hidden values in again when a connection is saved or tested; without this, whoever may edit a connection could
send its secret to a host of their own. What is saved is compared with the row that it replaces. Its Test saves nothing, but
sets fields of a connection that it has read, so that these are watched one by one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import event, inspect, select

from integrator.auth.connections import base_url_of
from integrator.auth.moved_secrets import Place, without_moved_secrets
from integrator.model.credential import CONN_TYPE_PREFIX
from integrator.registry import SCHEMES

MODEL = "airflow.models.connection"


def watch_connections() -> None:
    """Listen to changes of Airflow's connections, in a process that has its models: the API server, not a task."""
    model = getattr(sys.modules.get(MODEL), "Connection", None)
    if model is None or event.contains(model, "before_update", _before_update):
        return
    event.listen(model, "before_update", _before_update)
    event.listen(model.conn_type, "set", _on_type)
    event.listen(model._extra, "set", _on_extra, retval=True)  # noqa: SLF001 - the column's name in Airflow's model


def _before_update(mapper: Any, connection: Any, target: Any) -> None:
    columns = mapper.local_table.c
    query = select(columns.conn_id, columns.conn_type, columns.host, columns.port, columns.extra)
    row = connection.execute(query.where(columns.id == inspect(target).identity[0])).one_or_none()
    if row is None:
        return
    before = Place(_scheme(row.conn_type), _base_url(row.host, row.port), _decrypted(row.extra))
    after = Place(_scheme(target.conn_type), _base_url(target.host, target.port), _decrypted(target._extra))  # noqa: SLF001
    if row.conn_id != target.conn_id:  # another project's now, perhaps
        before = before._replace(scheme="")
    _keep(target, before, after)


def _on_type(target: Any, value: Any, before: Any, _initiator: Any) -> None:
    if isinstance(before, str) and before and value != before:
        fields, base_url = _decrypted(target._extra), _base_url(target.host, target.port)  # noqa: SLF001
        _keep(target, Place(_scheme(before), base_url, fields), Place(_scheme(value), base_url, fields))


def _on_extra(target: Any, value: Any, before: Any, _initiator: Any) -> Any:
    scheme, base_url = _scheme(target.conn_type), _base_url(target.host, target.port)
    if not (isinstance(before, str) and isinstance(value, str)) or scheme not in SCHEMES:
        return value
    after = _decrypted(value)
    left = without_moved_secrets(Place(scheme, base_url, _decrypted(before)), Place(scheme, base_url, after))
    if left == after:
        return value
    from airflow.models.crypto import get_fernet

    return get_fernet().encrypt(json.dumps(left).encode()).decode()


def _keep(target: Any, before: Place, after: Place) -> None:
    if before.scheme not in SCHEMES and after.scheme not in SCHEMES:
        return
    left = without_moved_secrets(before, after)
    if left != after.fields:
        target.set_extra(json.dumps(left))


def _scheme(conn_type: Any) -> str:
    return str(conn_type or "").replace("-", "_").removeprefix(CONN_TYPE_PREFIX)


def _base_url(host: Any, port: Any) -> str:
    try:
        return base_url_of(host, port)
    except ValueError:
        return f"{host} {port}"  # no URL, and another one all the same


def _decrypted(stored: str | None) -> Mapping[str, Any]:
    if not stored:
        return {}
    from airflow.models.crypto import get_fernet

    try:
        return _read(get_fernet().decrypt(stored.encode()).decode())
    except (InvalidToken, ValueError):
        return _read(stored)  # from before there was a key; with what cannot be read at all nothing can be the same


def _read(text: str | None) -> Mapping[str, Any]:
    try:
        made = json.loads(text or "{}")
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}
