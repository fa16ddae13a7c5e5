"""A session that is signed in to, kept alive and signed out of: by cookies, or by whatever the login gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import msgspec

from integrator.auth.chain import SHARED, Fill, Step, compile_steps, text_of, values_of
from integrator.auth.cookies import Jar, place_of
from integrator.auth.scheme import Call, Field
from integrator.auth.token_answers import lasting_s
from integrator.errors import SignInAgainError
from integrator.model.tokens import Token
from integrator.wire.headers import header_safe, read_headers, replaced
from integrator.wire.message import Request

LOGIN = {"path": "/login", "json": {"username": "{username}", "password": "{password}"}}


@dataclass(slots=True)
class SessionLoginScheme:
    """Signs in before the first call, in again once when the session has ended, and out at the end."""

    values: dict[str, str] = field(repr=False)
    login: list[Step]
    logout: list[Step]
    keep_alive: list[Step]
    keep_alive_s: float
    lasts_s: float | None
    present_: Mapping[str, Fill] = field(repr=False)
    taken: frozenset[str]
    home: str = ""
    _made: tuple[Token, dict[str, str]] | None = field(default=None, repr=False)

    NAME: ClassVar[str] = "session_login"
    LABEL: ClassVar[str] = "Integrator: session (login and logout)"
    KEEPS: ClassVar[bool] = False
    FIELDS: ClassVar[tuple[Field, ...]] = (
        *SHARED,
        Field(
            "login", "Login", "The call that signs in, as JSON, or a list of such calls; left out: POST /login with username and password",
            required=False, where=True, lines=True,
        ),
        Field("logout", "Logout", 'The call that signs out, as JSON such as {"path": "/Logout"}; left out: none', required=False, where=True, lines=True),
        Field("keep_alive", "Keep alive", "A call that keeps an idle session alive, as JSON; left out: none", required=False, where=True, lines=True),
        Field("keep_alive_s", "Keep alive every (s)", "Seconds between such calls", required=False, default="300"),
        Field("lasts_s", "Lasts (s)", "Seconds after which to sign in again; left out: when the system says so", required=False),
        Field(
            "present", "Present", "Headers that carry the session, one `Name: text` a line with what login takes in braces; left out: its cookies",
            required=False, lines=True,
        ),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; every call is compiled once."""
        values = values_of(given)
        login, known = compile_steps("login", given.get("login") or LOGIN, values)
        known |= {"cookie"}

        def steps(name: str) -> list[Step]:
            return compile_steps(name, given[name], known)[0] if given.get(name) else []

        headers = read_headers("present", given.get("present") or "")
        present = {name: text_of(f"present: {name}", text, known) for name, text in headers.items()}
        every = (lasting_s("keep_alive_s", given.get("keep_alive_s")) or 300.0) if given.get("keep_alive") else 0.0
        return cls(
            values, login, steps("logout"), steps("keep_alive"), every, lasting_s("lasts_s", given.get("lasts_s")), present,
            frozenset(known - set(values)),
        )  # fmt: skip

    def lies_at(self, base_url: str) -> None:
        """Learn where the system lies, since a cookie goes back to where it came from and nowhere else."""
        with suppress(ValueError):  # what is no URL is refused, in words, where it is checked whom the credential may reach
            self.home = place_of(base_url)

    def reaches(self) -> list[str]:
        """Return the URLs that its calls name beside the base URL."""
        return [one.origin_url for one in (*self.login, *self.logout, *self.keep_alive) if one.origin_url is not None]

    def derived(self) -> list[str]:
        """Return the further values: they are given in one field, and each is a secret."""
        return [value for name, value in self.values.items() if name != "username"]

    def sign(self, request: Request) -> Request:
        """Return the request as it is: without a session there is nothing to sign with."""
        return request

    async def earn(self, call: Call, before: Token | None) -> Token:
        """Sign in."""
        values: dict[str, Any] = dict(self.values)
        jar = Jar()
        for step in self.login:
            place = self._place(step)
            answer = await step.run(call, values, _cookie(jar.header(place)))
            jar.take(place, answer.headers)
        cookie = jar.header(self.home)
        if not self.present_ and not cookie:
            raise SignInAgainError(
                "the login gives no cookie for the base URL's host; say with take and present what carries the session"
            )
        now = time.time()
        taken = {name: str(values[name]) for name in self.taken if name in values}
        others = {place: jar.header(place) for place in {self._place(step) for step in self._later()} - {self.home}}
        return Token(cookie, now, None if self.lasts_s is None else now + self.lasts_s, more=taken, cookies=others)

    def _later(self) -> list[Step]:
        return [*self.keep_alive, *self.logout]

    def _place(self, step: Step) -> str:
        return self.home if step.origin_url is None else place_of(step.origin_url)

    def present(self, request: Request, token: Token) -> Request:
        """Return the request with the session on it."""
        if self._made is None or self._made[0] is not token:
            self._made = (token, self._headers(token))
        return msgspec.structs.replace(request, headers=replaced(request.headers, self._made[1]))

    def _headers(self, token: Token) -> dict[str, str]:
        values = {**self.values, **token.more, "cookie": token.value}
        try:
            return _cookie(token.value) | {name: header_safe(name, str(fill(values))) for name, fill in self.present_.items()}
        except ValueError as fault:
            raise SignInAgainError(f"present: {fault}") from None

    async def stay(self, call: Call, token: Token) -> None:
        """Keep the session alive."""
        await self._calls(call, token, self.keep_alive)

    async def leave(self, call: Call, token: Token) -> None:
        """Sign out."""
        await self._calls(call, token, self.logout)

    async def _calls(self, call: Call, token: Token, steps: list[Step]) -> None:
        for step in steps:
            place = self._place(step)
            at_home = place == self.home
            cookie = token.value if at_home else token.cookies.get(place, "")
            values: dict[str, Any] = {**self.values, **token.more, "cookie": cookie}
            await step.run(call, values, self._headers(token) if at_home else _cookie(cookie))


def _cookie(header: str) -> dict[str, str]:
    return {"Cookie": header} if header else {}
