"""A msgspec decoder that reads only the members in use; everything else of an answer is skipped unread.

Types are lenient: where an object is expected and a text stands, the text is kept, and the mapping's null-safe
paths or its own checks deal with it. A record never fails a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple, Self, TypedDict

import msgspec

from integrator.mapping.generate import EACH

Step = str | int
_numbers = count(1)
_LOOK = 4096  # bytes; a system that puts spaces between values puts them everywhere
_ODD_ESCAPE = re.compile(rb"\\[u/]")
_encoder = msgspec.json.Encoder(decimal_format="number")


class _Tree(dict[Step, "_Tree"]):
    whole = False
    carried = False


def _grow(paths: Iterable[Sequence[Step]], carried: Iterable[Sequence[Step]] = ()) -> _Tree:
    root = _Tree()
    kept = set(map(tuple, carried))
    for path in paths:
        node = root
        for step in path:
            if isinstance(step, int) and step != EACH:
                node.whole = True  # an index into a list: take the list as it is
                break
            node = node.setdefault(step, _Tree())
        else:
            # A path that ends here reads the value itself, unless it only walks the list's items.
            node.whole = node.whole or not path or path[-1] != EACH
            node.carried = tuple(path) in kept
    return root


def _type_of(node: _Tree) -> Any:
    if node.carried:
        return msgspec.Raw
    if node.whole or (EACH in node and len(node) > 1) or not node:
        return Any
    if EACH in node:
        return list[_item_type(node[EACH])] | None | bool | int | str | dict[str, msgspec.Raw]  # type: ignore[misc]
    return _object(node) | None | bool | int | float | str | list[msgspec.Raw]


def _item_type(node: _Tree) -> Any:
    if node.whole:
        return Any
    return _object(node) | None | bool | int | float | str | list[msgspec.Raw]


def _object(node: _Tree) -> Any:
    return TypedDict(f"Part{next(_numbers)}", {str(name): _type_of(child) for name, child in node.items()}, total=False)  # type: ignore[operator]


def decoder(paths: Iterable[Sequence[Step]], carried: Iterable[Sequence[Step]] = ()) -> msgspec.json.Decoder[Any]:
    """Return a decoder for an answer of which these paths are read; numbers keep their digits as Decimal.

    Of the paths, those that are also `carried` come as `msgspec.Raw`, their text; no other path may run through them.
    """
    tree = _grow(paths, carried)
    if EACH in tree and not tree.whole and len(tree) == 1:
        shape: Any = list[_item_type(tree[EACH])] | None | bool | int | float | str | dict[str, msgspec.Raw]  # type: ignore[misc]
    else:
        shape = _type_of(tree)
    return msgspec.json.Decoder(shape, float_hook=Decimal)


def is_plain(body: bytes) -> bool:
    """Tell whether JSON text looks as `encode` writes it, so that a value carried as text is the value read and written.

    That is UTF-8 without spaces between values, and without the escapes that `encode` does not make.
    """
    if b'": ' in body[:_LOOK] or b'" :' in body[:_LOOK] or body.find(b"\n", 0, len(body) - 1) >= 0:
        return False
    if b"\\" in body and _ODD_ESCAPE.search(body):
        return False
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


class Reading(NamedTuple):
    """How an answer is read: value by value, or quicker where its text is such that nobody can tell."""

    exact: msgspec.json.Decoder[Any]
    quick: msgspec.json.Decoder[Any] | None

    @classmethod
    def of(
        cls,
        place: Sequence[Step],
        paths: Iterable[Sequence[Step]],
        carried: Iterable[Sequence[Step]],
        beside: Sequence[Sequence[Step]] = (),
    ) -> Self:
        """Make it for records at a place.

        Args:
            place: where a record stands; empty where the answer is the record.
            paths: what is read of a record.
            carried: those of them that are only handed on.
            beside: what else is read of the answer.
        """
        wanted = [*([*place, *path] for path in paths), *([place] if place else []), *beside]
        handed_on = [(*place, *path) for path in carried]
        if not handed_on or any(tuple(path[: len(place) - 1]) == tuple(place[:-1]) for path in beside if len(place) > 1):
            return cls(decoder(wanted), None)
        return cls(decoder(wanted), decoder(wanted, handed_on))

    def decode(self, body: bytes) -> Any:
        """Return what stands there, as far as it is read."""
        return (self.quick if self.quick is not None and is_plain(body) else self.exact).decode(body)


def encode(value: Any) -> bytes:
    """Return JSON bytes; decimals are numbers with their digits, times are ISO 8601.

    Raises:
        ValueError: a value has no JSON form (a lone surrogate, for instance).
    """
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, TypeError, msgspec.MsgspecError, RecursionError):
        raise ValueError("a value has no JSON form") from None
