"""Runs the stages, searches, and puts together what a stranger can follow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from integrator import settings as settings_of
from integrator.errors import StopRunError
from integrator.model.console import Content, Switch
from integrator.proving.alerting import CREDENTIAL
from integrator.proving.broken_system import BrokenSystem
from integrator.proving.canaries import Canaries
from integrator.proving.searching import Search, Searched
from integrator.proving.stages import RERUN_OF, STAGES, Stage
from integrator.settings import Settings
from integrator.store.console import SqlConsole
from integrator.store.console_deleting import delete_logs
from integrator.store.console_objects import objects_of
from integrator.store.database import open_engine, upgrade
from integrator.store.forgetting import forget_project

RECORDS = 8
LIMIT_S = 120


@dataclass(slots=True)
class Proof:
    """What was done, what was searched, and what was found.

    Attributes:
        hits: marks that were found where none may be.
        console_hits: marks that were found in the console log, while that was switched on, where they must be.
        live: whether a real pipe was run, whose console log is left alone.
        values: of a real pipe, how many values were searched for.
    """

    began_at: datetime
    stages: list[dict[str, Any]] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    console_hits: int = 0
    seconds: float = 0.0
    live: bool = False
    values: int = 0

    @property
    def hits(self) -> int:
        """Marks found where none may be."""
        return sum(one.hits for one in self.searched)

    @property
    def complete(self) -> bool:
        """Whether every place could be searched, and the console log held what it must: otherwise nothing is proven."""
        return all(one.fault is None for one in self.searched) and (self.live or self.console_hits > 0)


class Proving:
    """Makes one proof over an installation: its databases, its home, its logs, its object store."""

    def __init__(self, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._environ, self._say = dict(environ), say
        self._settings: Settings = settings_of.load(environ)
        self._home = Path(environ[settings_of.HOME_VARIABLE])
        self._canaries = Canaries()
        self.project = f"prove{os.getpid()}"
        self._work = Path(tempfile.mkdtemp(prefix="integrator-proof-"))
        self._said = bytearray()

    def make(self) -> Proof:
        """Run all stages with the console log off and then on, search everything, and leave nothing behind."""
        began, proof = time.monotonic(), Proof(datetime.now(UTC))
        upgrade(self._settings.database_url)
        engine = open_engine(self._settings.database_url)
        console = SqlConsole(engine)
        system = BrokenSystem([self._canaries.record(number) for number in range(RECORDS)])
        system.start()
        try:
            for logged in (False, True):
                if logged:
                    proof.searched.append(self._nothing_is_logged())
                    self._switch_on(console)
                for stages in _in_processes(list(enumerate(STAGES))):
                    codes = self._run(system, stages)
                    proof.stages += [
                        {"stage": stage.name, "console_log": logged, "exit_code": code}
                        for (_number, stage), code in zip(stages, codes, strict=True)
                    ]
            search = Search(self._canaries.forms())
            self._refuse_blind(search)
            proof.searched += [*self._search(search), self._alerts(search, system)]
            proof.console_hits = self._search_console(search, console)
            proof.searched += self._store(search, console)
        finally:
            system.stop()
            delete_logs(console, objects_of(self._settings), console.logs(self.project))
            forget_project(engine, self.project)
            engine.dispose()
            shutil.rmtree(self._work, ignore_errors=True)
        proof.seconds = round(time.monotonic() - began, 1)
        return proof

    def _switch_on(self, console: SqlConsole) -> None:
        now = datetime.now(UTC)
        for number in range(len(STAGES)):
            switch = Switch(
                self.project, f"stage_{number}", frozenset(Content), now + timedelta(hours=1), 50, "prove-no-copy", now, "proof"
            )
            console.enable(switch, 1)

    def _run(self, system: BrokenSystem, stages: Sequence[tuple[int, Stage]]) -> list[int]:
        """Give the commands of some stages in one process; returns their exit codes."""
        folder = self._work / "dags" / self.project
        folder.mkdir(parents=True, exist_ok=True)
        commands, of_rerun = [], next(number for number, stage in enumerate(STAGES) if stage.name == RERUN_OF)
        for number, stage in stages:
            pipe = f"stage_{of_rerun if stage.command in ('rerun', 'alert') else number}"
            if stage.command in ("run", "preview"):
                (folder / f"{pipe}.yaml").write_text(yaml.safe_dump({"flows": {"items": stage.flow}}, sort_keys=False), "utf-8")
            given = [
                stage.command,
                f"{self.project}/{pipe}",
                "--dags",
                str(self._work / "dags"),
                *(["--all"] if stage.command == "rerun" else []),
            ]
            commands.append({"mode": stage.mode, "command": given})
        file = self._work / f"commands-{stages[0][0]}.json"
        file.write_text(json.dumps({"url": system.url, "commands": commands}), "utf-8")
        command = [sys.executable, "-m", "integrator.proving.driver", str(file)]
        process = subprocess.Popen(
            command, cwd=self._work, env=self._environ_of(system), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if stages[0][1].killed:
            self._kill(process, system)
        try:
            out, _none = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise StopRunError(f"the stages did not end within {LIMIT_S} s") from None
        if stages[0][1].command != "preview":  # a preview is there to show records; it may leave none behind
            self._said += out
        if stages[0][1].killed:
            return [process.returncode]
        codes = file.with_suffix(".codes")
        if process.returncode != 0 or not codes.is_file():
            raise StopRunError(f"the stages could not be run (exit code {process.returncode}), so nothing is proven")
        return [int(code) for code in json.loads(codes.read_text("utf-8"))]

    def _environ_of(self, system: BrokenSystem) -> dict[str, str]:
        refused = {"token_url": "/token", "client_id": "c", "client_secret": "proof-secret"}
        connections = {
            "THERE": {"conn_type": "integrator_none", "host": system.url, "extra": {"plain_http": True}},
            CREDENTIAL.upper(): {"conn_type": "integrator_none", "host": f"{system.url}/alerts", "extra": {"plain_http": True}},
            "REFUSED": {"conn_type": "integrator_oauth2", "host": system.url, "extra": {"plain_http": True, **refused}},
        }
        return {
            **self._environ, **{f"AIRFLOW_CONN_{self.project.upper()}__{name}": json.dumps(one) for name, one in connections.items()},
            "AIRFLOW_HOME": self._environ.get("AIRFLOW_HOME") or str(self._work / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "TMPDIR": str(self._work), "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01", "AIRFLOW__INTEGRATOR__ATTEMPTS": "2",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }  # fmt: skip

    @staticmethod
    def _kill(process: subprocess.Popen[bytes], system: BrokenSystem) -> None:
        until = time.monotonic() + LIMIT_S
        while system.writes < 2 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

    def _refuse_blind(self, search: Search) -> None:
        """Refuse to go on with a search that finds nothing where something is.

        Raises:
            StopRunError: it does not see a mark that was put before it.
        """
        blind = [form for form in self._canaries.forms() if not search.count(b"before" + form + b"after")]
        if blind:
            raise StopRunError("the search does not find what it is shown, so it proves nothing; this is a bug, please report it")

    def _search(self, search: Search) -> list[Searched]:
        found = [search.text("output of the commands", bytes(self._said))]
        found += places(search, self._environ, self._settings, self._home)
        found.append(search.folder("working and temporary folder of the commands (spool, core files)", self._work))
        return found

    def _nothing_is_logged(self) -> Searched:
        """Look whether anything lies in the console store while no log is switched on."""
        names = list(objects_of(self._settings).names(f"{self.project}/"))
        return Searched("console store, while no log was switched on", 0, len(names), names[:5])

    def _store(self, search: Search, console: SqlConsole) -> list[Searched]:
        """Search what else lies in the object store, and look that nothing of a deleted log is left in it, no version of it either."""
        objects = objects_of(self._settings)
        delete_logs(console, objects, console.logs(self.project))
        left = list(objects.names(f"{self.project}/"))
        beside = search.text("object store, beside console logs", b"\n".join(objects.get(one) for one in objects.names("_")))
        return [
            beside,
            Searched("object store, once the logs were deleted (versions, unfinished uploads)", 0, len(left), left[:5]),
        ]

    @staticmethod
    def _alerts(search: Search, system: BrokenSystem) -> Searched:
        told = search.text("alerts, as they arrived", b"\n".join(system.alerts))
        if not system.alerts:
            told.fault = "none arrived (Airflow sends them: is it installed here?)"
        return told

    def _search_console(self, search: Search, console: SqlConsole) -> int:
        objects = objects_of(self._settings)
        keys = [log.key(part) for log in console.logs(self.project) for part in range(log.objects)]
        return sum(search.count(objects.get(key)) for key in keys)


def places(
    search: Search, environ: Mapping[str, str], settings: Settings, home: Path, without: tuple[Path, ...] = ()
) -> list[Searched]:
    """Search every place of an installation where something might be kept, but for its console logs.

    Args:
        without: further folders that are passed over.
    """
    urls = {settings.database_url, environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") or settings.database_url}
    found = [search.database(url) for url in sorted(urls)]
    beside = (Path(settings.console_store or home / "console"), *without)
    found.append(search.folder(f"home folder {home} (logs, databases as they lie on disk)", home, beside))
    for name, variable in (("Airflow's home", "AIRFLOW_HOME"), ("task logs", "AIRFLOW__LOGGING__BASE_LOG_FOLDER")):
        folder = Path(environ.get(variable) or home)
        if folder.is_dir() and not folder.is_relative_to(home):
            found.append(search.folder(f"{name} {folder}", folder, beside))
    found.append(search.files(f"core files in {Path.cwd()}", Path.cwd().glob("core*")))
    return found


def _in_processes(stages: Sequence[tuple[int, Stage]]) -> list[list[tuple[int, Stage]]]:
    """Deal the stages out: one that is killed, and a preview, have a process of their own, the others share one."""
    made: list[list[tuple[int, Stage]]] = [[]]
    for one in stages:
        alone = one[1].killed or one[1].command == "preview"
        if alone or (made[-1] and (made[-1][-1][1].killed or made[-1][-1][1].command == "preview")):
            made.append([])
        made[-1].append(one)
    return [group for group in made if group]
