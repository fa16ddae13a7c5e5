"""Templates: text with expressions in braces, each encoded for its place, so that no value changes the shape of a request."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from integrator.errors import MappingError
from integrator.mapping.casts import EmptyValueError, MisfitError, text
from integrator.mapping.compile import MISFITS, Made, Paths, Tables, compile_lines
from integrator.mapping.expression import ExpressionError, parse
from integrator.mapping.generate import HELPERS, Scope, source_of
from integrator.mapping.shapes import ShapeFault, split_text

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_VALUE = ("null", "''")
"""How odata() writes null and an empty text."""
_SAFE_IN_FILTER = {"odata", "integer", "decimal", "number", "boolean", "round", "length"}


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A path with its parameters and headers, compiled to one function of the scope's variables."""

    made: Made

    @property
    def faults(self) -> Sequence[ShapeFault]:
        """Why it may not be used."""
        return self.made.faults

    @property
    def used(self) -> Mapping[str, Paths]:
        """Per variable the paths it reads."""
        return self.made.used

    def fill(self, *arguments: Any, extra: Mapping[str, Any] | None = None) -> tuple[str, dict[str, str]]:
        """Return the path with its query, and the headers.

        Raises:
            MappingError: a value cannot stand in its place.
        """
        path, params, headers = self.made(*arguments)
        if extra:
            params = [*params, *extra.items()]
        try:
            return path + query(params, "&" if "?" in path else "?"), headers
        except MisfitError as misfit:
            raise MappingError(str(misfit), stage="map", field="params") from None

    def ask(self, *arguments: Any) -> tuple[str, dict[str, str]] | None:
        """Return the path with its query, and the headers, of a question about one record.

        None when a value that it asks with is null or empty: without it, the question would be about every record.

        Raises:
            MappingError: a value cannot stand in its place.
        """
        try:
            path, params, headers = self.made.call(*arguments)
            if any(_asks_nothing(value) for _name, value in params):
                return None
            return path + query(params, "&" if "?" in path else "?"), headers
        except EmptyValueError:
            return None
        except MISFITS as misfit:
            raise self.made.misfit(misfit) from None


def _asks_nothing(value: Any) -> bool:
    return value is None or value in ("", []) or (isinstance(value, list) and any(one is None or one == "" for one in value))


def query(params: Sequence[tuple[str, Any]], sign: str = "?") -> str:
    """Return an encoded query; null leaves its parameter out, a list repeats it."""
    pairs = []
    for name, value in params:
        if value is not None:
            pairs += [(name, text(one) or "") for one in (value if isinstance(value, list) else [value])]
    return sign + urlencode(pairs, quote_via=quote, safe="") if pairs else ""


def compile_request(
    path: str,
    params: Mapping[str, Any],
    headers: Mapping[str, str],
    arguments: Sequence[str],
    *,
    members: str | None,
    named: Mapping[str, str],
    tables: Tables = {},  # noqa: B006 - never written to
    at: tuple[str | int, ...] = (),
    asks: bool = False,
) -> RequestTemplate:
    """Compile a request's templates; faults come with it. With `asks`, no param may hold an empty value, inside a text neither."""
    scope = Scope(members, named, tables)
    faults: list[ShapeFault] = []
    lines: list[tuple[str, tuple[str | int, ...]]] = [(f"def made({', '.join(arguments)}):", ()), (" return (", ())]

    def add(make: Callable[[], str], place: tuple[str | int, ...]) -> None:
        try:
            lines.append((make() + ",", place))
        except (ExpressionError, ValueError) as fault:
            faults.append(ShapeFault(place, str(fault)))

    add(lambda: _path_source(path, scope), (*at, "path"))
    lines.append(("[", ()))
    for name, value in params.items():
        add(lambda n=name, v=value: f"({n!r}, {_param_source(n, v, scope, asks=asks)})", (*at, "params", name))  # type: ignore[misc]
    lines.append(("], {", ()))
    for name, value in headers.items():
        add(lambda n=name, v=value: f"{_header_name(n)!r}: _header({_text_source(v, scope)})", (*at, "headers", name))  # type: ignore[misc]
    lines.append(("})", ()))
    made = compile_lines(lines, scope) if not faults else Made(_none, scope.used, faults)
    return RequestTemplate(made)


def _none(*_arguments: Any) -> Any:
    raise MisfitError("this template has faults")


def _path_source(template: str, scope: Scope) -> str:
    parts = split_text(template)
    if not template.startswith("/"):
        raise ExpressionError("a path begins with / and is added to the credential's base URL")
    made = [f"_segment({source_of(parse(part), scope)})" if live else repr(part) for live, part in parts]
    return f"_path({' + '.join(made)})"


def _text_source(template: str, scope: Scope, *, asks: bool = False) -> str:
    parts = split_text(str(template))
    return " + ".join(_live_source(part, scope, asks=asks) if live else repr(part) for live, part in parts) or "''"


def _live_source(part: str, scope: Scope, *, asks: bool) -> str:
    made = source_of(parse(part), scope)
    if not asks:
        return f"_s({made})"
    return f"_asked(_s({made}), {_NO_VALUE if _quotes(parse(part).tree) else ()!r})"


def _quotes(tree: Any) -> bool:
    return isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "odata"


def _param_source(name: str, value: Any, scope: Scope, *, asks: bool) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_param_source(name, one, scope, asks=asks) for one in value) + "]"
    if not isinstance(value, str):
        return repr(text(value))
    parts = split_text(value)
    if any(live and "since" in parse(part).roots() for live, part in parts) and "since" in scope.named:
        made = _since_source(name, parts, value, scope, asks=asks)
        return f"(None if {scope.named['since']} is None else {made})"
    return _since_source(name, parts, value, scope, asks=asks)


def _since_source(name: str, parts: list[tuple[bool, str]], value: str, scope: Scope, *, asks: bool) -> str:
    if name == "$filter":
        for live, part in parts:
            tree = parse(part).tree if live else None
            if tree is not None and not (
                isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in _SAFE_IN_FILTER
            ):
                raise ExpressionError(f"in a $filter a value is quoted: {{odata({part.strip()})}}")
    if len(parts) == 1 and parts[0][0] and not (asks and _quotes(parse(parts[0][1]).tree)):
        return source_of(parse(parts[0][1]), scope)  # alone, it keeps null (left out) and lists (repeated)
    return _text_source(value, scope, asks=asks)


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ExpressionError(f"{name!r} is not a header's name")
    return name


def _segment(value: Any) -> str:
    made = text(value)
    if made is None or made == "":
        raise EmptyValueError("an empty value cannot stand in a path")
    try:
        return quote(made, safe="")
    except UnicodeEncodeError:
        raise MisfitError("the text is not valid Unicode") from None


def _asked(made: str, no_value: tuple[str, ...]) -> str:
    """Return the text to ask with, unless it stands for no value: quoted, null and nothing have a form of their own."""
    if not made or made in no_value:
        raise EmptyValueError("an empty value is never asked for")
    return made


def _path(made: str) -> str:
    if any(segment in (".", "..") for segment in made.split("?", 1)[0].split("/")):
        raise MisfitError("'.' and '..' cannot stand in a path")
    return made


def _header(value: str) -> str:
    if _CONTROL.search(value):
        raise MisfitError("a header cannot hold a line break or control character")
    return value


HELPERS.update(_asked=_asked, _segment=_segment, _path=_path, _header=_header)
