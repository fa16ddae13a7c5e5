"""Processes that begin with everything imported, forked from one that waits for that: `start` is Popen without Python's start.

Each is a real process with a pid of its own, which may be killed. What forks them does nothing else and has one thread.
They share the seed of Python's hashes, so a test that needs two processes as different as two workers asks for `cold` ones.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from integrator.wire.tls import NO_TRUST

ROOT = Path(__file__).parents[2]
CORE = (
    "tests.services.move_process", "tests.services.refresh_process", "integrator.cli", "integrator.commands.run_command",
    "integrator.commands.rerun_command", "integrator.commands.failures_command", "integrator.commands.runs_command",
    "integrator.authoring.library", "integrator.authoring.repeating", "integrator.connectors.rest_source",
    "integrator.connectors.rest_destination", "integrator.connectors.rest_look_up", "alembic.command", "alembic.config", "uvloop",
)  # fmt: skip
"""What most tests' processes need."""
OPERATORS = (
    "airflow.sdk", "integrator.dag_build", "integrator.operators.move_records", "integrator.operators.rerun_failed",
    "integrator.operators.upkeep", *CORE,
)  # fmt: skip
"""What a task's process needs."""
STORE = (
    "airflow.models.connection",
    "airflow.models.variable",
    "airflow.settings",
    "integrator.commands.credential_command",
    *CORE,
)
"""What a command over Airflow's own store needs."""
MESSAGE_BYTES = 2**18


class Forked:
    """What subprocess.Popen gives, as far as our tests ask for it; what it wrote is read once it has ended."""

    def __init__(self, pid: int, ended: int, out: int, err: int) -> None:
        """Take over the read end of the pipe in which its exit code comes, and the files of its output: one for both, or two."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended, self._out, self._err = ended, out, err

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            said = os.read(self._ended, 16)
            assert said, f"what started process {self.pid} has ended"
            self.returncode = int(said)
            os.close(self._ended)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it wrote, once it has ended: twice the same when standard error is merged."""
        self.wait(timeout)
        out, err = (os.pread(one, os.fstat(one).st_size, 0).decode() for one in (self._out, self._err))
        for one in {self._out, self._err}:
            os.close(one)
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a machine that loses power would."""
        self.send_signal(signal.SIGKILL)


def start(module: str, *arguments: str, cwd: Path, env: Mapping[str, str], merged: bool = False) -> Forked:
    """Start `python -m module arguments` with what the core needs imported. See Forker.start."""
    return _core().start(module, *arguments, cwd=cwd, env=env, merged=merged)


@cache
def _core() -> Forker:
    return Forker(CORE)


@cache
def with_airflow() -> Forker:
    """Return what forks processes that have Airflow imported, over a home without a database."""
    home = tempfile.mkdtemp(prefix="integrator-airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_", "_AIRFLOW"))}
    own = {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONWARNINGS": "ignore"}
    return Forker(OPERATORS, {**kept, **own})


class Forker:
    """The process that has everything imported."""

    def __init__(self, modules: tuple[str, ...], env: Mapping[str, str] | None = None) -> None:
        """Start it; it ends when this one does."""
        atexit.register(self.stop)
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = os.pathsep.join(str(ROOT / name) for name in ("plugins", "include", ""))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.services.warm", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()], cwd=ROOT, env={**(os.environ if env is None else env), "PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start(self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str], merged: bool = False) -> Forked:
        """Start `python -m module arguments`, or a file of Python.

        Args:
            cwd: where it works.
            env: its whole environment; what was read of one at import is the forker's.
            merged: whether standard error goes where standard output goes.
        """
        asked = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        out = os.memfd_create("out")
        err = out if merged else os.memfd_create("err")
        ended, told = os.pipe()
        socket.send_fds(self.ours, [json.dumps(asked).encode()], [out, err, told])
        os.close(told)
        pid = self.ours.recv(16)
        assert pid, "what forks the tests' processes has ended"
        return Forked(int(pid), ended, out, err)

    def stop(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.ours.close()
            self.process.wait(10)


def fork_what_is_asked(control: socket.socket) -> None:
    """Fork a process per message until the other side is gone; returns in each fork, and in the end."""
    tell: dict[int, int] = {}  # pid -> where its exit code goes
    look, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([control, look], [], [])[0]
        if look in ready:
            os.read(look, 4096)
            _tell_ends(tell)
        if control in ready:
            message, files, _flags, _address = socket.recv_fds(control, MESSAGE_BYTES, 3)
            if not message:
                return
            pid = os.fork()
            if not pid:
                for one in (look, wake, *tell.values(), files[2]):
                    os.close(one)
                control.close()
                become(json.loads(message), *files[:2])
                return
            tell[pid] = files[2]
            os.close(files[0])
            os.close(files[1])
            control.send(str(pid).encode())


def _tell_ends(tell: dict[int, int]) -> None:
    while tell:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = tell.pop(pid)
        os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def become(asked: dict[str, Any], out: int, err: int) -> None:
    """Be what was asked for, in this fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for one in {out, err}:
        os.close(one)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = [asked["module"], *asked["arguments"]]
    if asked["module"].endswith(".py"):
        runpy.run_path(asked["module"], run_name="__main__")
    else:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        import_module(name)
    NO_TRUST.context()  # reads the public authorities, once for all
    gc.freeze()  # so that a fork's collections do not copy the memory they share
    fork_what_is_asked(socket.socket(fileno=int(sys.argv[1])))
