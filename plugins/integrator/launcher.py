"""Starts and stops the embedded platform: `python -m integrator.launcher`, which is what scripts/run ends in.

API server, scheduler, dag-processor, watcher and daily purge, and the demo shop and ERP, on loopback, over one home folder.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote
from types import FrameType

import requests

from integrator.errors import ConfigError, IntegratorError, StopRunError
from integrator.launching import demo_run, made_once, platform_env, prepare_tables
from integrator.launching.airflow_api import AirflowApi
from integrator.launching.free_port import free_port
from integrator.launching.home import Home
from integrator.launching.parts import Family, PartEndedError, airflow_parts, demo_parts, purge_part, watcher_part
from integrator.launching.progress import Progress
from integrator.launching.sign_in_settings import write_sign_in_settings
from integrator.settings import DEFAULT_HOME, HOME_VARIABLE, MAINTENANCE_VARIABLE, load

CHECKOUT = Path(__file__).parents[2]
HEALTHY_S = 180.0
"""How long the platform may take to be healthy."""
SHOP_PORT, ERP_PORT = 8101, 8102


class EndedBySignal(BaseException):
    """A person or the system asked us to end."""

    def __init__(self, number: int) -> None:
        """Remember which signal."""
        super().__init__(number)
        self.number = number


class Launcher:
    """One start of the platform, from the lock to the last child's end."""

    def __init__(self, home: Home, checkout: Path, port: int, demo: bool) -> None:
        """Choose ports and take the home.

        Raises:
            ConfigError: another launcher has the home, or no port is free.
        """
        self.home, self.checkout, self.demo = home, checkout, demo
        self.progress = Progress()
        self.lock = home.lock()
        taken: set[int] = set()
        self.port = free_port(port, taken)
        self.shop_port, self.erp_port = (free_port(SHOP_PORT, taken), free_port(ERP_PORT, taken)) if demo else (0, 0)
        if self.port != port:
            self.progress.say(f"Port {port} is busy; using {self.port}.")
        if demo and (self.shop_port, self.erp_port) != (SHOP_PORT, ERP_PORT):
            self.progress.say(f"The demo shop uses port {self.shop_port}, the demo ERP port {self.erp_port}.")
        self.environ: dict[str, str] = {}
        self.maintenance: dict[str, str] = {}

    def settle(self) -> None:
        """Make what is missing in the home folder: secrets, settings, connections of the demo.

        Raises:
            ConfigError: there is no usable Fernet key.
        """
        made_once.make_secrets(self.home, os.environ)
        kept = self.home.variables()
        placed = platform_env.placed(self.home, self.checkout, self.port)
        given = {name: value for name, value in platform_env.defaults().items() if name not in kept}
        demo = made_once.demo_connections(kept, self.shop_port, self.erp_port) if self.demo else {}
        self.home.keep({**given, **placed, **demo, **platform_env.without_demo(self.demo)})
        write_sign_in_settings(self.home)
        # What a person exported wins, except for where things are: a stray AIRFLOW_HOME would split the installation.
        self.environ = {**self.home.variables(), **os.environ, **placed, **demo, HOME_VARIABLE: str(self.home.path)}
        # Whoever gave it: Airflow's parts hand their environment on to tasks.
        self.maintenance = {name: self.environ.pop(name) for name in (MAINTENANCE_VARIABLE,) if name in self.environ}
        made_once.check_fernet_key(self.environ.get(made_once.FERNET_KEY), self.home)

    def prepare_tables(self) -> None:
        """Bring the tables up to date, unless the stamp says that they are.

        Raises:
            PartEndedError: it did not work; the message names the log.
        """
        stamp = self.home.path / prepare_tables.STAMP
        today = prepare_tables.stamp()
        if self.home.database.exists() and stamp.is_file() and stamp.read_text("utf-8") == today:
            return
        log_file = self.home.logs / "tables.log"
        with self.progress.step("Preparing the database"), log_file.open("ab") as log:
            command = [sys.executable, "-m", "integrator.launching.prepare_tables"]
            done = subprocess.run(command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise PartEndedError(f"the database could not be prepared; {log_file} says why")
        self.home.write(prepare_tables.STAMP, today)

    def start(self, family: Family) -> AirflowApi:
        """Start every part and wait until all are healthy.

        Raises:
            PartEndedError: a part ended, or is not healthy in time.
        """
        include = str(self.checkout / "include")
        for part in demo_parts(self.home.path) if self.demo else ():
            family.start(part, {**self.environ, "PYTHONPATH": os.pathsep.join([include, *self._python_path()])})
        for part in (*airflow_parts(self.port), watcher_part(self.checkout / "dags")):
            family.start(part, self.environ)
        family.start(purge_part(), {**self.environ, **self.maintenance})
        user, password = (self.environ[name] for name in (made_once.ADMIN_USER, made_once.ADMIN_PASSWORD))
        api = AirflowApi(f"http://127.0.0.1:{self.port}", user, password)
        with self.progress.step("Starting Airflow"):
            until = time.monotonic() + HEALTHY_S
            while not _all_healthy(health := api.health()):
                family.check()
                if time.monotonic() > until:
                    raise PartEndedError(
                        f"not healthy after {HEALTHY_S:g} s: {health or 'no answer'}; {self.home.logs} may say why"
                    )
                time.sleep(0.3)
        return api

    def _python_path(self) -> list[str]:
        return [one for one in self.environ.get("PYTHONPATH", "").split(os.pathsep) if one]

    def run_demo(self, api: AirflowApi, family: Family) -> None:
        """Run the demo pipe once, unless it ever ran here, and say what became of the orders."""
        settings = load(self.environ)
        try:
            if demo_run.told(settings):
                return
            with self.progress.step("Moving the demo's orders"):
                demo_run.first_run(api, family.check)
            lines = demo_run.told(settings) or ["The journal has no run of the demo."]
        except requests.RequestException as error:
            lines = [f"The demo's result is not known: the API server did not answer ({type(error).__name__})."]
        except (demo_run.DemoNotRunError, ConfigError, StopRunError) as error:
            lines = [f"The demo's result is not known: {error}."]
        for line in lines:
            self.progress.say(f"  {line}")

    def say_where(self) -> None:
        """Say where to look; the password only the first time."""
        say, kept = self.progress.say, self.home.variables()
        say()
        say(f"Integrator is up: http://127.0.0.1:{self.port}")
        say(f"  user      {kept[made_once.ADMIN_USER]}")
        if made_once.PASSWORD_SHOWN in kept:
            say(f"  password  the line {made_once.ADMIN_PASSWORD} in {self.home.env_file} (unless it was changed in Airflow)")
        else:
            say(f"  password  {kept[made_once.ADMIN_PASSWORD]}   (shown this once; kept in {self.home.env_file})")
            self.home.keep({made_once.PASSWORD_SHOWN: "yes"})
        if self.demo:
            self._say_repair()
        say()
        say("Ctrl-C ends everything.")

    def _say_repair(self) -> None:
        """Say how to repair the demo ERP and rerun, as long as there is something to rerun."""
        try:
            count = demo_run.open_failures(load(self.environ))
        except IntegratorError:
            count = 0
        if not count:
            return
        say, home = self.progress.say, f"INTEGRATOR_HOME={quote(str(self.home.path))}"
        say()
        say(f"The demo ERP refuses {count:,} of the orders. In another terminal, repair it and rerun exactly those:")
        say(f"  cd {quote(str(self.checkout))}")
        say(f"  {home} scripts/demo repair")
        say(f"  {home} {quote(str(Path(sys.executable).with_name('integrator')))} rerun {demo_run.PROJECT}/{demo_run.PIPE} --all")
        say(f"or, instead of the last line, trigger the DAG {demo_run.DAG}.rerun in Airflow.")

    def run(self) -> None:
        """Keep the platform up until a signal or the end of a part.

        Raises:
            PartEndedError: a part ended.
        """
        self.settle()
        self.prepare_tables()
        family = Family(self.home.logs, self.lock)
        try:
            api = self.start(family)
            if self.demo:
                self.run_demo(api, family)
            self.say_where()
            while True:
                family.check()
                time.sleep(0.3)
        finally:
            # A second Ctrl-C must not leave parts behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self.progress.say("Ending every part ...")
            family.end()


def _all_healthy(health: dict[str, str]) -> bool:
    return all(health.get(name) == "healthy" for name in ("metadatabase", "scheduler", "dag_processor"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/run", description="Start Integrator: Airflow, the demo systems and the demo pipe."
    )
    home = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    parser.add_argument(
        "--port", type=int, default=8080, help="port of the user interface (default 8080); a busy one gives the next free"
    )
    parser.add_argument("--home", type=Path, default=home, help="secrets, journal and logs (default %(default)s)")
    parser.add_argument("--no-demo", action="store_true", help="without the demo shop, ERP and pipe")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not 1 <= chosen.port <= 65_535:
        parser.error("--port is a number from 1 to 65535")
    return chosen


def _end(number: int, _frame: FrameType | None) -> None:
    raise EndedBySignal(number)


def main() -> int:
    """Run the platform; returns the exit code: 130 after Ctrl-C, 143 after SIGTERM, 1 when a part ended, 2 for faulty settings."""
    chosen = _arguments()
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        Launcher(Home(chosen.home), chosen.checkout.resolve(), chosen.port, demo=not chosen.no_demo).run()
    except EndedBySignal as ended:
        return 128 + ended.number
    except ConfigError as error:
        print(f"Integrator did not start: {error}", file=sys.stderr)
        return 2
    except IntegratorError as error:
        print(f"Integrator ended: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
