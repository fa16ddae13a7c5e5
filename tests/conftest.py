"""What every test may ask for."""

from __future__ import annotations

pytest_plugins = [
    "tests.services.postgres",
    "tests.services.platform",
    "tests.services.deployment",
    "tests.services.system",
    "tests.services.office",
    "tests.services.ntlm_server",
    "tests.services.apache_ntlm",
    "tests.services.apache",
    "tests.services.ministack",
    "tests.services.airflow_schema",
    "tests.services.installation",
]
