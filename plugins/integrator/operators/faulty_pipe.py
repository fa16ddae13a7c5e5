"""The one task of a pipe that has faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException


class FaultyPipe(BaseOperator):
    """Fails with the faults of its pipe file.

    :param faults: the faults, a line each.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, faults: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faults = list(faults)

    def execute(self, context: Any) -> None:
        """Fail, and say why."""
        del context
        raise AirflowFailException("this pipe has faults and does not run:\n" + "\n".join(self.faults))
