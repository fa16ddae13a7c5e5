"""From pipes to Airflow DAGs. A stub beside the pipes calls `dags_of`; it never raises."""

from __future__ import annotations

from typing import Any


def dags_of(stub: str) -> dict[str, Any]:
    """Return the DAGs of the pipes in the stub's folder, by name; a faulty pipe becomes a DAG that says so."""
    from integrator.dag_build.folder import build

    return build(stub)


def raise_faults(stub: str) -> None:
    """Raise one error that lists every fault of every project; for dags/faults.py alone.

    Raises:
        PipeFaultsError: there are faults.
    """
    from integrator.dag_build.folder import all_faults
    from integrator.errors import PipeFaultsError

    faults = all_faults(stub)
    if faults:
        raise PipeFaultsError("\n".join(["pipes with faults; each is shown as an unscheduled DAG tagged faulty:", *faults]))


def upkeep_dag(stub: str) -> Any:
    """Return the DAG of what the platform does by itself; for dags/upkeep.py alone."""
    from integrator.dag_build.upkeep import build

    return build(stub)


def retention_dag() -> Any:
    """Return the DAG that deletes what is no longer kept; for dags/upkeep.py alone."""
    from integrator.dag_build.upkeep import build_retention

    return build_retention()
