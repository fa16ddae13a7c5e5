"""Named secrets and where they may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONN_TYPE_PREFIX = "integrator_"


def is_on(given: object) -> bool:
    """Tell whether a switch is on, as a form, a variable or JSON writes it."""
    return str(given).lower() in ("true", "1", "yes")


@dataclass(frozen=True, slots=True)
class Credential:
    """An Airflow connection `<project>__<name>`, read. Only the base URL is readable; the rest never prints."""

    project: str
    name: str
    scheme: str
    base_url: str
    extra: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def conn_id(self) -> str:
        """Airflow's name for it."""
        return f"{self.project}__{self.name}"

    @property
    def plain_http(self) -> bool:
        """Whether the user marked it as allowed to use http."""
        return is_on(self.extra.get("plain_http", ""))
