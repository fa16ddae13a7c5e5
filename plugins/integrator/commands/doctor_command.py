"""`integrator doctor`: look at the installation, and say what is wrong with its cure."""

from __future__ import annotations

import sys

import click

from integrator import settings as settings_of
from integrator.commands.common import HOME_OPTION, JSON_OPTION, safe, show_json


@click.command()
@HOME_OPTION
@JSON_OPTION
def command(home: str | None, as_json: bool) -> None:
    """Look at keys, database, sessions, tokens, TLS, logs, the console store and credentials. Exit code 1 in production ([integrator] environment) when something is grave."""
    from integrator.commands.airflow_store import airflow_settings
    from integrator.commands.credential_editing import Connections
    from integrator.commands.doctor_checks import Patient, examine

    environ = settings_of.environment(home)
    known = Connections(environ, lambda _project, _name: None)
    patient = Patient(environ, settings_of.load(environ), airflow_settings(environ), lambda: known.every(None))
    found = examine(patient)
    grave = sum(one.level == "grave" for one in found)
    if as_json:
        show_json({"environment": patient.settings.environment, "grave": grave,
                   "findings": [{"level": one.level, "what": one.what, "cure": one.cure} for one in found]})  # fmt: skip
    else:
        for one in found:
            click.echo(safe(f"{one.level:8} {one.what}") + (f"\n{'':8} {safe(one.cure)}" if one.cure else ""))
    if grave and patient.production:
        sys.exit(1)
