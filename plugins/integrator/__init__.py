"""Integrator moves records between business systems on Apache Airflow, and keeps none of them."""

__version__ = "0.1.0"
