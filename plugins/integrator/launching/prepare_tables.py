"""Tables and the first user, in one process: `python -m integrator.launching.prepare_tables`.

The same as `airflow db migrate` and `airflow users create`, which would each pay Airflow's start again.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from integrator import __version__
from integrator.launching.made_once import ADMIN_PASSWORD, ADMIN_USER
from integrator.store.tables import HEAD

STAMP = "tables.stamp"


def stamp() -> str:
    """Return what the tables depend on: once it is noted in the home folder, later starts skip this step."""
    airflow = " ".join(version(name) for name in ("apache-airflow", "apache-airflow-providers-fab"))
    return f"{airflow} {__version__} {HEAD}\n"


def main() -> None:
    """Bring the tables to today's revision and make sure that the administrator exists."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder  # Airflow sets itself up on import
    from airflow.utils import db
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded

    providers_configuration_loaded(db.upgradedb)()
    user, password = os.environ[ADMIN_USER], os.environ[ADMIN_PASSWORD]
    with get_application_builder() as builder:
        security = builder.sm
        if security.find_user(user) is None:
            role = security.find_role("Admin")
            try:
                made = role is not None and security.add_user(
                    user, "Integrator", "Administrator", f"{user}@localhost", role, password
                )
            except Exception as fault:  # noqa: BLE001 - Flask-AppBuilder's says nothing; its cause does
                sys.exit(f"the user {user} could not be created: {fault.__cause__ or fault}")
            if not made:
                sys.exit(f"the user {user} could not be created")


if __name__ == "__main__":
    main()
