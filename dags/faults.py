# An airflow dag file that holds no dag: it raises one error that lists every faulty pipe, for platform administrators.
from integrator.dag_build import raise_faults

raise_faults(__file__)
