"""A token that one or several calls give, each using what the one before gave, and perhaps the base URL with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import msgspec

from integrator.auth.chain import SHARED, Fill, Step, compile_steps, text_of, values_of
from integrator.auth.scheme import Call, Field
from integrator.auth.token_answers import lasting_s, seconds
from integrator.errors import SignInAgainError
from integrator.model.tokens import Token
from integrator.wire.headers import header_safe, read_headers, replaced
from integrator.wire.message import Request

PRESENT = "Authorization: Bearer {token}"


@dataclass(slots=True)
class TokenChainScheme:
    """Earns a token by 1..n calls. What they take under the name `token` is the token; `expires_in` and `base_url` are understood too."""

    values: dict[str, str] = field(repr=False)
    steps: list[Step]
    lasts_s: float | None
    present_: Mapping[str, Fill] = field(repr=False)
    used: frozenset[str]
    _made: tuple[Token, dict[str, str]] | None = field(default=None, repr=False)

    NAME: ClassVar[str] = "token_chain"
    LABEL: ClassVar[str] = "Integrator: token from chained calls"
    KEEPS: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (
        *SHARED,
        Field(
            "steps", "Calls", 'The calls, as a JSON list such as [{"path": "/token", "json": {"user": "{username}"}, "take": {"token": "AccessToken"}}]',
            where=True, lines=True,
        ),
        Field("present", "Present", f"Headers that carry the token, one `Name: text` a line; left out: {PRESENT}", required=False, lines=True),
        Field("lasts_s", "Lasts (s)", "Seconds for which a token is good, unless a call takes expires_in", required=False),
        Field("base_url_suffixes", "Base URL domains", "Domains in which a base URL that a call takes may lie, with commas", required=False, where=True),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; every call is compiled once."""
        values = values_of(given)
        steps, known = compile_steps("steps", given["steps"], values)
        if "token" not in known:
            raise ValueError('steps: no call takes a token; say where it stands: "take": {"token": "access_token"}')
        headers = read_headers("present", given.get("present") or PRESENT)
        present = {name: text_of(f"present: {name}", text, known) for name, text in headers.items()}
        taken = {name for step in steps for name in step.take} - {"token", "base_url", "expires_in"}
        used = frozenset(name for name in taken if any(name in text for text in headers.values()))
        return cls(values, steps, lasting_s("lasts_s", given.get("lasts_s")), present, used)

    def reaches(self) -> list[str]:
        """Return the URLs that its calls name beside the base URL."""
        return [one.origin_url for one in self.steps if one.origin_url is not None]

    def derived(self) -> list[str]:
        """Return the further values: they are given in one field, and each is a secret."""
        return [value for name, value in self.values.items() if name != "username"]

    def sign(self, request: Request) -> Request:
        """Return the request as it is: without a token there is nothing to sign with."""
        return request

    async def earn(self, call: Call, before: Token | None) -> Token:
        """Make the calls."""
        values: dict[str, Any] = dict(self.values)
        for step in self.steps:
            await step.run(call, values, {})
        if isinstance(values["token"], (dict, list)):
            raise SignInAgainError("what take says is the token is an object or a list, and not the token itself")
        now, lasts = time.time(), seconds(values.get("expires_in")) or self.lasts_s
        base_url = values.get("base_url")
        more = {name: str(values[name]) for name in self.used if name in values}
        expires_at = None if lasts is None else now + lasts
        return Token(str(values["token"]), now, expires_at, base_url=None if base_url is None else str(base_url), more=more)

    def present(self, request: Request, token: Token) -> Request:
        """Return the request with the token on it."""
        if self._made is None or self._made[0] is not token:
            values = {**self.values, **token.more, "token": token.value, "base_url": token.base_url}
            try:
                made = {name: header_safe(name, str(fill(values))) for name, fill in self.present_.items()}
            except ValueError as fault:
                raise SignInAgainError(f"present: {fault}") from None
            self._made = (token, made)
        return msgspec.structs.replace(request, headers=replaced(request.headers, self._made[1]))

    async def leave(self, call: Call, token: Token) -> None:
        """Do nothing: the token is everybody's."""
