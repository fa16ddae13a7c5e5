"""Which of our actions stands behind what Airflow asks about a DAG. What no table names is for platform administrators alone."""

from __future__ import annotations

from collections.abc import Mapping

from integrator.model.access import Action

_SEE = {"GET": Action.SEE}
_RUN = {"GET": Action.SEE, "POST": Action.RUN, "PUT": Action.RUN}
# What Airflow keeps of runs goes by the project's plan, which is configuration; so is taking it away before its time.
_RUN_OR_DELETE = {**_RUN, "DELETE": Action.CONFIGURE}

OF_DAG: Mapping[str | None, Mapping[str, Action]] = {
    None: {"GET": Action.SEE, "PUT": Action.RUN, "DELETE": Action.CONFIGURE},
    "AUDIT_LOG": _SEE,
    "CODE": _SEE,
    "DEPENDENCIES": _SEE,
    "HITL_DETAIL": {"GET": Action.SEE, "PUT": Action.RUN},
    "RUN": _RUN_OR_DELETE,
    "TASK": _SEE,
    "TASK_INSTANCE": _RUN_OR_DELETE,
    "TASK_LOGS": _SEE,
    "VERSION": _SEE,
    "WARNING": _SEE,
    # Tasks leave counts there. Nobody writes records into it by hand.
    "XCOM": _SEE,
}
"""By what of a DAG is asked for (None: the DAG itself), and by method."""

LISTED: frozenset[str | None] = frozenset({
    None, "DEPENDENCIES", "HITL_DETAIL", "RUN", "TASK_INSTANCE", "VERSION", "WARNING", "XCOM",
})  # fmt: skip
"""What may be asked for without naming a DAG, since Airflow then shows only what `get_authorized_dag_ids` returns.

Not AUDIT_LOG: Airflow adds the lines that belong to no DAG.
"""

VIEWS = frozenset({"DOCS", "WEBSITE"})
"""Views for everybody who is signed in. The others tell of the whole installation."""

MENU = frozenset({"DAGS", "DOCS", "REQUIRED_ACTIONS"})
"""Menu items for everybody who is signed in; what they lead to is filtered."""

OWN_ACCOUNT = frozenset({"My Password", "My Profile"})
"""Pages of the sign-in on which somebody sees and changes nobody but themselves."""
