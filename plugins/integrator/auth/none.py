"""Systems that ask for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from integrator.auth.scheme import Field
from integrator.wire.message import Request


class NoneScheme:
    """Adds nothing."""

    NAME: ClassVar[str] = "none"
    LABEL: ClassVar[str] = "Integrator: no sign-in"
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; there is nothing to give."""
        del given
        return cls()

    def sign(self, request: Request) -> Request:
        """Return the request as it is."""
        return request
