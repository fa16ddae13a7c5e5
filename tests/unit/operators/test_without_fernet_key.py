"""A task refuses to open credentials that Airflow would keep as plain text. Source: PRODUCT.md P2."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from integrator.errors import ConfigError
from integrator.operators.flow_task import refuse_without_fernet_key
from integrator.operators.move_records import MoveRecords
from integrator.operators.rerun_failed import RerunFailed

PLACE = {"project": "acme", "pipe": "orders", "flow": "orders", "dags": "/nowhere"}


@pytest.mark.parametrize("key", ["", "not-a-key", "short,also-short"])
@pytest.mark.parametrize("operator", [MoveRecords, RerunFailed])
def test_no_task_starts_without_a_fernet_key(operator: type, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
    with pytest.raises(AirflowFailException, match="AIRFLOW__CORE__FERNET_KEY") as refused:
        operator(task_id="orders", **PLACE).execute({})
    assert refused.value.__cause__ is None
    assert not key or key not in str(refused.value)


def test_rotated_keys_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.fernet import Fernet

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", f"{Fernet.generate_key().decode()},{Fernet.generate_key().decode()}")
    try:
        refuse_without_fernet_key()
    except ConfigError as fault:
        pytest.fail(str(fault))
