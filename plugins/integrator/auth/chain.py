"""Calls that sign in, one after the other, each able to use what those before it gave. Used by session_login and token_chain."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from integrator.auth.scheme import Call, Field
from integrator.errors import MappingError, SignInAgainError, UnavailableError
from integrator.mapping.compile import compile_expression
from integrator.mapping.expression import ExpressionError
from integrator.mapping.shapes import split_text
from integrator.registry import near
from integrator.wire.headers import header_safe
from integrator.wire.message import Answer, Request

STEPS_MAX = 10
_KEYS = ("method", "path", "url", "params", "headers", "json", "form", "text", "take", "success")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_exact = msgspec.json.Decoder(float_hook=Decimal)
Values = dict[str, Any]
Fill = Callable[[Values], Any]
SHARED = (
    Field("username", "User name", "The value {username}", required=False),
    Field("password", "Password", "The value {password}", secret=True, required=False),
    Field(
        "values_secret", "Further values", 'Further values that calls may use, as a JSON object such as {"company": "SBODEMO"}',
        secret=True, required=False, lines=True,
    ),
)  # fmt: skip
"""Fields of every scheme that signs in by calls of its own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a sign-in, compiled.

    Attributes:
        take: name -> what it is taken from, of the answer and its headers.
        success: tells whether an answer is a good one; None where a status of 2xx says so.
    """

    what: str
    method: str
    target: Fill = field(repr=False)
    headers: Mapping[str, Fill] = field(repr=False)
    body: Callable[[Values], bytes] | None = field(repr=False)
    content_type: str | None
    take: Mapping[str, Callable[[Any, Mapping[str, str], int], Any]] = field(repr=False)
    success: Callable[[Any, Mapping[str, str], int], Any] | None = field(repr=False)
    origin_url: str | None = None

    async def run(self, call: Call, values: Values, extra: Mapping[str, str]) -> Answer:
        """Make the call and put what it gives into the values.

        Raises:
            SignInAgainError: it is refused, or its answer lacks something.
            UnavailableError: the other side has an error of its own.
        """
        headers = {"Accept": "application/json", **extra}
        try:
            headers |= {name: header_safe(name, str(fill(values))) for name, fill in self.headers.items()}
            if self.content_type is not None:
                headers.setdefault("Content-Type", self.content_type)
            body = self.body(values) if self.body is not None else b"" if self.method != "GET" else None
            request = Request(self.method, self.target(values), headers, body)
        except (MappingError, ValueError) as fault:
            raise SignInAgainError(f"{self.what} cannot be made: {fault}") from None
        answer = await call(request)
        self._judge(answer, values)
        return answer

    def _judge(self, answer: Answer, values: Values) -> None:
        status, made = answer.status, _decoded(answer)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if status >= 500:
            raise UnavailableError(f"{self.what} fails over there ({status})", http_status=status)
        good = _tried(self.success, made, headers, status) if self.success is not None else 200 <= status < 300
        if not good:
            lasting = status in (400, 401, 403) or 200 <= status < 300
            raise SignInAgainError(
                f"{self.what} is refused ({status}); check the user, the password and the other values", lasting=lasting
            )
        for name, expression in self.take.items():
            found = _tried(expression, made, headers, status)
            if found is None or found == "":
                raise SignInAgainError(f"{self.what} gives no {name}: the answer holds nothing where take says it stands")
            values[name] = found


def compile_steps(field_name: str, given: Any, known: Collection[str]) -> tuple[list[Step], set[str]]:
    """Return the steps, and the names that they know in the end.

    Args:
        given: one step or a list of steps, as JSON text or already read.
        known: names of the values that the credential gives.

    Raises:
        ValueError: something in it cannot be used; the message says where.
    """
    made = read_json(field_name, given)
    listed = made if isinstance(made, list) else [made]
    if not 1 <= len(listed) <= STEPS_MAX:
        raise ValueError(f"{field_name} holds 1 to {STEPS_MAX} calls")
    names, steps = set(known), []
    for number, one in enumerate(listed, 1):
        steps.append(_compile(f"{field_name}[{number}]" if isinstance(made, list) else field_name, one, names))
        names |= set(steps[-1].take)
    return steps, names


def values_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that calls may use, by name.

    Raises:
        ValueError: values_secret is not a JSON object of plain values.
    """
    more = read_json("values_secret", given.get("values_secret") or {})
    if not isinstance(more, dict) or any(isinstance(value, (dict, list)) or value is None for value in more.values()):
        raise ValueError('values_secret is a JSON object of texts and numbers, such as {"company": "SBODEMO"}')
    named = {name: str(given[name]) for name in ("username", "password") if given.get(name) is not None}
    return named | {str(name): str(value) for name, value in more.items()}


def read_json(field_name: str, given: Any) -> Any:
    """Return what a field holds as JSON. Raises ValueError where it is not JSON."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError(
            f'{field_name} is not JSON, such as {{"path": "/Login", "json": {{"UserName": "{{username}}"}}}}'
        ) from None


def _compile(where: str, one: Any, names: Collection[str]) -> Step:
    if not isinstance(one, dict):
        raise ValueError(f"{where} is not a JSON object")
    for key in one:
        if key not in _KEYS:
            raise ValueError(f"{where} has no {key!r}; {near(str(key), _KEYS)}")
    bodies = [key for key in ("json", "form", "text") if key in one]
    if len(bodies) > 1 or ("path" in one) == ("url" in one):
        raise ValueError(f"{where} has one of path and url, and at most one of json, form and text")
    method = str(one.get("method") or "POST").upper()
    if method not in _METHODS:
        raise ValueError(f"{where}: method is one of {', '.join(_METHODS)}")
    body, content_type = _body(where, one, bodies[0], names) if bodies else (None, None)
    target = str(one.get("path") or one.get("url"))
    return Step(
        f"{where}, {method} {target.split('?', maxsplit=1)[0][:80]},",
        method,
        _target(where, one, target, names),
        {name: text_of(f"{where}: headers: {name}", value, names) for name, value in _object(where, one, "headers").items()},
        body,
        content_type,
        {name: _of_answer(f"{where}: take: {name}", text) for name, text in _object(where, one, "take").items()},
        _of_answer(f"{where}: success", one["success"]) if "success" in one else None,
        None if "path" in one else target,
    )


def _object(where: str, one: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = one.get(key) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{where}: {key} is not a JSON object")
    return found


def _target(where: str, one: Mapping[str, Any], target: str, names: Collection[str]) -> Fill:
    if "path" in one and not target.startswith("/"):
        raise ValueError(f"{where}: path begins with /")
    if "url" in one and (not target.startswith(("https://", "http://")) or "{" in target.split("/", 3)[2]):
        raise ValueError(f"{where}: url is a whole URL, with no braces in its host")
    place = text_of(f"{where}: path", target, names, encode=lambda text: quote(text, safe=""))
    params = {name: text_of(f"{where}: params: {name}", value, names) for name, value in _object(where, one, "params").items()}

    def fill(values: Values) -> str:
        made = str(place(values))
        if any(segment in (".", "..") for segment in made.split("?", maxsplit=1)[0].split("/")):
            raise ValueError("'.' and '..' cannot stand in a path")
        query = urlencode([(name, value(values)) for name, value in params.items()], quote_via=quote)
        return made + (("&" if "?" in made else "?") + query if query else "")

    return fill


def _body(where: str, one: Mapping[str, Any], kind: str, names: Collection[str]) -> tuple[Callable[[Values], bytes], str]:
    if kind == "json":
        shape = _shape(f"{where}: json", one["json"], names)
        return lambda values: json.dumps(shape(values), ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    if kind == "form":
        pairs = {name: text_of(f"{where}: form: {name}", value, names) for name, value in _object(where, one, "form").items()}
        return (
            lambda values: urlencode([(name, fill(values)) for name, fill in pairs.items()]).encode()
        ), "application/x-www-form-urlencoded"
    text = text_of(f"{where}: text", one["text"], names)
    return lambda values: str(text(values)).encode(), "text/plain; charset=utf-8"


def _shape(where: str, value: Any, names: Collection[str]) -> Fill:
    if isinstance(value, str):
        return text_of(where, value, names)
    if isinstance(value, list):
        listed = [_shape(f"{where}[{at}]", one, names) for at, one in enumerate(value)]
        return lambda values: [fill(values) for fill in listed]
    if isinstance(value, dict):
        members = {name: _shape(f"{where}.{name}", one, names) for name, one in value.items()}
        return lambda values: {name: fill(values) for name, fill in members.items()}
    return lambda _values: value


def text_of(where: str, template: Any, names: Collection[str], encode: Callable[[str], str] = str) -> Fill:
    """Return what fills a text with expressions in braces.

    Raises:
        ValueError: an expression is faulty, or names what nobody gives.
    """
    try:
        parts = split_text(str(template))
    except ExpressionError as fault:
        raise ValueError(f"{where}: {fault}") from None
    made: list[tuple[Callable[..., Any] | None, str]] = []
    for live, part in parts:
        if not live:
            made.append((None, part))
            continue
        compiled = compile_expression(part, ["_v"], members="_v", named={})
        if compiled.faults:
            raise ValueError(f"{where}: {compiled.faults[0].message}")
        for root in {str(path[0]) for path in compiled.used.get("_v", ()) if path}:
            if root not in names:
                cure = near(root, names) if names else "give username and password, or values_secret"
                raise ValueError(f"{where}: nothing gives {root!r}; {cure}")
        made.append((compiled, ""))

    def fill(values: Values) -> str:
        return "".join(part if live is None else encode(_text(live(values))) for live, part in made)

    return fill


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("a value that it needs is empty")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_answer(where: str, text: Any) -> Callable[[Any, Mapping[str, str], int], Any]:
    made = compile_expression(text, ["_a", "_h", "_s"], members="_a", named={"answer": "_a", "headers": "_h", "status": "_s"})
    if made.faults:
        raise ValueError(f"{where}: {made.faults[0].message}")
    return made


def _tried(expression: Callable[[Any, Mapping[str, str], int], Any], made: Any, headers: Mapping[str, str], status: int) -> Any:
    try:
        return expression(made, headers, status)
    except MappingError:
        return None  # an answer that does not fit it gives nothing


def _decoded(answer: Answer) -> Any:
    try:
        return _exact.decode(answer.body) if answer.body.strip() else None
    except (msgspec.MsgspecError, RecursionError):
        return None
