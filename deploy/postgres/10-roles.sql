-- Three roles for one database: Airflow's own, one that may touch nothing but Integrator's tables, and one of workers that has less of them.
-- Runs once, on an empty data folder; the passwords come from the environment. `airflow db migrate` then gives
-- the roles integrator and integrator_worker their rights, table by table.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv integrator_password INTEGRATOR_DB_PASSWORD
\getenv worker_password INTEGRATOR_WORKER_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE integrator LOGIN PASSWORD :'integrator_password';
CREATE ROLE integrator_worker LOGIN PASSWORD :'worker_password';
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
GRANT CONNECT ON DATABASE airflow TO integrator, integrator_worker;
\connect airflow
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO airflow;
GRANT USAGE ON SCHEMA public TO integrator, integrator_worker;
