"""A hook class per scheme, for people's own DAGs and for Airflow's connection form."""
