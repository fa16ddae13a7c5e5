"""Where the demo servers are and what they ask for: the same connections that the pipes use."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from integrator.settings import environment


@dataclass(frozen=True, slots=True)
class Door:
    """A demo server's address and its secret."""

    url: str
    username: str = ""
    secret: str = field(default="", repr=False)

    @property
    def port(self) -> int:
        """The port in the address."""
        return urlsplit(self.url).port or 80


def door(name: str, home: Path | None) -> Door:
    """Return a server's door from its connection, `AIRFLOW_CONN_DEMO__SHOP` or `..._ERP`.

    Raises:
        SystemExit: there is no such connection yet.
    """
    variable = f"AIRFLOW_CONN_DEMO__{name.upper()}"
    text = environment(str(home) if home else None).get(variable, os.environ.get(variable, ""))
    if not text:
        raise SystemExit(f"{variable} is neither set nor in the home folder's env file; start scripts/run once, or name --home")
    connection = json.loads(text)
    extra = connection["extra"]
    return Door(connection["host"], extra.get("username", ""), extra.get("password") or extra.get("token", ""))
