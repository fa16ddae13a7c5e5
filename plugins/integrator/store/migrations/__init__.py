"""Our Alembic revisions: one set for `airflow db migrate` and for `store.database.upgrade`."""
