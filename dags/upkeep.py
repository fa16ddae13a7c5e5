# The airflow dag of what the platform does by itself: automatic reruns.
from integrator.dag_build import upkeep_dag

dag = upkeep_dag(__file__)
