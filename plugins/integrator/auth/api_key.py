"""A key in a header, in the query, in a cookie or in the path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import quote

import msgspec

from integrator.auth.scheme import Field, one_of
from integrator.wire.headers import header_name, header_safe, replaced, value_of
from integrator.wire.message import Request

_IN_PATH = "/:@-._~"
PLACES = ("header", "query", "cookie", "path")


@dataclass(slots=True)
class ApiKeyScheme:
    """Prefer the header: a query stands in other systems' access logs."""

    name: str
    place: str
    value: str = field(repr=False)
    _base_url: str = ""

    NAME: ClassVar[str] = "api_key"
    LABEL: ClassVar[str] = "Integrator: API key"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("api_key_secret", "API key", "The key", secret=True),
        Field("name", "Name", "Name of the header, parameter or cookie", required=False, default="X-API-Key"),
        Field(
            "place",
            "Place",
            "Where it stands: header, query, cookie, or path: right after the base URL, as in a webhook's address",
            required=False,
            choices=PLACES,
            default="header",
        ),
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it."""
        place = one_of("place", given.get("place") or "header", PLACES)
        name = str(given.get("name") or "X-API-Key")
        if place in ("header", "cookie"):
            header_name("name", name)
        value = header_safe("api_key_secret", str(given["api_key_secret"]))
        if not value:
            raise ValueError("api_key_secret is empty")
        if place == "path" and not all(part and part not in (".", "..") for part in value.split("/")):
            raise ValueError("api_key_secret, in a path, neither begins nor ends with / and holds no empty part, `.` or `..`")
        return cls(name, place, value)

    def lies_at(self, base_url: str) -> None:
        """Learn where the system lies: in a path, the key comes right after it."""
        self._base_url = base_url.rstrip("/")

    def sign(self, request: Request) -> Request:
        """Put the key in its place."""
        if self.place == "path":
            return msgspec.structs.replace(request, url=self._in_path(request.url))
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
        """Return the encoded forms that stand in an address or cookie."""
        return [quote(self.value, safe=""), quote(self.value, safe=_IN_PATH)]

    def _in_path(self, url: str) -> str:
        rest = url[len(self._base_url) :]
        if not url.startswith(self._base_url) or rest[:1] not in ("", "/", "?"):
            return url  # the key is for what lies below the base URL, and for nothing else of its host
        return f"{self._base_url}/{quote(self.value, safe=_IN_PATH)}{'' if rest == '/' else rest}"
