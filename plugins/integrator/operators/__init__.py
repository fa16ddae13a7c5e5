"""Airflow operators: they translate and delegate."""
