"""What Airflow's plugin loader registers; it finds it by this distribution's entry point, not by scanning plugins/."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class IntegratorPlugin(AirflowPlugin):
    """Integrator's place in Airflow. Its pages will hang here."""

    name = "integrator"

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Guard connections where Airflow's models are at hand."""
        del args, kwargs
        from integrator.watch_connections import watch_connections

        watch_connections()
