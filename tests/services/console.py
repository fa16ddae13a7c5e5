"""Console logs in a test: a journal that says what is switched on, flows that log, and what they logged."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrator.model.console import Content, Switch
from integrator.model.credential import Credential
from integrator.model.run import FlowReport
from integrator.store.console import SqlConsole
from integrator.store.console_files import FolderObjects, Objects
from integrator.store.database import open_engine, upgrade
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System

SECRET = "canary-secret-of-the-credential"


class Desk:
    """A journal's console, parts that log, and where the logs lie."""

    def __init__(self, folder: Path, system: System, objects: Objects | None = None) -> None:
        url = f"sqlite:///{folder / 'journal.db'}"
        upgrade(url)
        self.engine = open_engine(url)
        self.console = SqlConsole(self.engine)
        self.objects = objects or FolderObjects(folder / "console")
        there = Credential(
            "acme",
            "there",
            "bearer",
            system.url,
            {"plain_http": True, "token": SECRET, "headers_secret": "X-Tenant: canary-tenant"},
        )
        made = parts(there)
        self.parts = replace(made, console=self.console, settings=replace(made.settings, console_store=str(folder / "console")))

    def enable(self, *contents: Content, hours: float = 1, max_mb: int = 50, **more: Any) -> Switch:
        now = datetime.now(UTC)
        return self.console.enable(Switch("acme", "sync", frozenset(contents), now, max_mb, "a test", now, **more), hours)

    async def run(self, **changes: Any) -> FlowReport:
        return await move(self.parts, plan(flow(**changes)))

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for log in reversed(self.console.logs()):
            for part in range(log.objects):
                found += [json.loads(line) for line in gzip.decompress(self.objects.get(log.key(part))).splitlines()]
        return found

    def text(self) -> str:
        return json.dumps(self.lines())
