"""What Integrator serves over HTTP, inside Airflow's API server under /integrator."""
