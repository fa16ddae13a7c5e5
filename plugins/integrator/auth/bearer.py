"""A token in a header. Source: RFC 6750; header name and prefix can differ (`X-Auth-Token`, `Token`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import msgspec

from integrator.auth.scheme import Field
from integrator.wire.headers import header_name, header_safe, replaced
from integrator.wire.message import Request


@dataclass(frozen=True, slots=True)
class BearerScheme:
    """The token goes into a header, never into the address."""

    header: str
    value: str = field(repr=False)

    NAME: ClassVar[str] = "bearer"
    LABEL: ClassVar[str] = "Integrator: Bearer token"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("token", "Token", "The token", secret=True),
        Field("header", "Header", "Header that carries it", required=False, default="Authorization"),
        Field("prefix", "Prefix", "Word before it; empty for none", required=False, default="Bearer"),
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; without a prefix of its own, only Authorization gets the word Bearer."""
        header = header_name("header", str(given.get("header") or "Authorization"))
        prefix = str(given.get("prefix", "Bearer" if header.lower() == "authorization" else ""))
        token = header_safe("token", str(given["token"]))
        if not token:
            raise ValueError("token is empty")
        return cls(header, f"{prefix} {token}" if prefix else token)

    def sign(self, request: Request) -> Request:
        """Add the header."""
        return msgspec.structs.replace(request, headers=replaced(request.headers, {self.header: self.value}))
