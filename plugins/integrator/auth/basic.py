"""User name and password. Source: RFC 7617."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import msgspec

from integrator.auth.scheme import Field
from integrator.wire.headers import replaced
from integrator.wire.message import Request


@dataclass(frozen=True, slots=True)
class BasicScheme:
    """UTF-8, no colon in the user name, an empty password allowed."""

    header: str = field(repr=False)

    NAME: ClassVar[str] = "basic"
    LABEL: ClassVar[str] = "Integrator: Basic (user and password)"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("username", "User name", "User name, without a colon"),
        Field("password", "Password", "Password; may be empty", secret=True, required=False),
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; the header is made once."""
        username, password = str(given["username"]), str(given.get("password", ""))
        if ":" in username:
            raise ValueError("username holds a colon, which Basic cannot carry (RFC 7617, section 2)")
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in username + password):
            raise ValueError("username and password hold no control characters (RFC 7617, section 2)")
        return cls("Basic " + b64encode(f"{username}:{password}".encode()).decode())

    def sign(self, request: Request) -> Request:
        """Add the Authorization header."""
        return msgspec.structs.replace(request, headers=replaced(request.headers, {"Authorization": self.header}))

    def derived(self) -> list[str]:
        """Return the encoded pair, which is as good as the password."""
        return [self.header.removeprefix("Basic ")]
