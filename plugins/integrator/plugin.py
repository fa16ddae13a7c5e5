"""What Airflow's plugin loader registers; it finds it by this distribution's entry point, not by scanning plugins/."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class IntegratorPlugin(AirflowPlugin):
    """Integrator's place in Airflow. Its pages will hang here."""

    name = "integrator"
