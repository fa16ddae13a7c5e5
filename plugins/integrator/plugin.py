"""What Airflow's plugin loader registers; it finds it by this distribution's entry point, not by scanning plugins/."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from integrator.web.lazily import Lazily


class IntegratorPlugin(AirflowPlugin):
    """Integrator's place in Airflow."""

    name = "integrator"
    # Made when it is first asked something, since each process of Airflow loads this and the API server alone serves it.
    fastapi_apps: ClassVar[list[Any]] = [{"name": "Integrator", "app": Lazily(), "url_prefix": "/integrator"}]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Guard connections where Airflow's models are at hand."""
        del args, kwargs
        from integrator.watch_connections import watch_connections

        watch_connections()
