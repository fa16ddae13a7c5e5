"""Moves records: read, map, write, note. Imports neither Airflow nor a web framework."""
