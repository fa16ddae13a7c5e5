# The airflow dags of what the platform does by itself: automatic reruns and expectations, and what is no longer kept.
from integrator.dag_build import retention_dag, upkeep_dag

dag = upkeep_dag(__file__)
retention = retention_dag()
