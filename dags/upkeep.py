# The airflow dag of what the platform does by itself: automatic reruns, and expectations.
from integrator.dag_build import upkeep_dag

dag = upkeep_dag(__file__)
