"""Who may see and do what on Airflow's own pages and APIs. Set [core] auth_manager = integrator.sign_in.IntegratorAuthManager."""

from __future__ import annotations

from typing import Any

NAME = "integrator.sign_in.IntegratorAuthManager"
"""As Airflow's configuration names the class."""


def __getattr__(name: str) -> Any:
    """Import the class when it is asked for: it brings Flask and Airflow's models, which others have no use for."""
    if name != "IntegratorAuthManager":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from integrator.sign_in.integrator_auth import IntegratorAuthManager

    return IntegratorAuthManager
