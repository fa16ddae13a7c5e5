"""Notifiers of Airflow's: they tell people how flows went."""
