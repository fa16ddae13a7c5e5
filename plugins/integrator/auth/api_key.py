"""A key in a header, in the query or in a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import quote

import msgspec

from integrator.auth.scheme import Field, one_of
from integrator.wire.headers import header_name, header_safe, replaced, value_of
from integrator.wire.message import Request

PLACES = ("header", "query", "cookie")


@dataclass(frozen=True, slots=True)
class ApiKeyScheme:
    """Prefer the header: a query stands in other systems' access logs."""

    name: str
    place: str
    value: str = field(repr=False)

    NAME: ClassVar[str] = "api_key"
    LABEL: ClassVar[str] = "Integrator: API key"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("api_key_secret", "API key", "The key", secret=True),
        Field("name", "Name", "Name of the header, parameter or cookie", required=False, default="X-API-Key"),
        Field("place", "Place", "Where it stands: header, query or cookie", required=False, choices=PLACES, default="header"),
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it."""
        place = one_of("place", given.get("place") or "header", PLACES)
        name = str(given.get("name") or "X-API-Key")
        if place != "query":
            header_name("name", name)
        value = header_safe("api_key_secret", str(given["api_key_secret"]))
        if not value:
            raise ValueError("api_key_secret is empty")
        return cls(name, place, value)

    def sign(self, request: Request) -> Request:
        """Put the key in its place."""
        if self.place == "header":
            return msgspec.structs.replace(request, headers=replaced(request.headers, {self.name: self.value}))
        if self.place == "cookie":
            cookies = [value_of(request.headers, "Cookie"), f"{self.name}={quote(self.value, safe='')}"]
            return msgspec.structs.replace(
                request, headers=replaced(request.headers, {"Cookie": "; ".join(filter(None, cookies))})
            )
        sign = "&" if "?" in request.url else "?"
        url = f"{request.url}{sign}{quote(self.name, safe='')}={quote(self.value, safe='')}"
        return msgspec.structs.replace(request, url=url)

    def derived(self) -> list[str]:
        """Return the encoded form that stands in an address or cookie."""
        return [quote(self.value, safe="")]
