"""A msgspec decoder that reads only the members in use; everything else of an answer is skipped unread.

Types are lenient: where an object is expected and a text stands, the text is kept, and the mapping's null-safe
paths or its own checks deal with it. A record never fails a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, TypedDict

import msgspec

from integrator.mapping.generate import EACH

Step = str | int
_numbers = count(1)
_encoder = msgspec.json.Encoder(decimal_format="number")


class _Tree(dict[Step, "_Tree"]):
    whole = False


def _grow(paths: Iterable[Sequence[Step]]) -> _Tree:
    root = _Tree()
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
    return root


def _type_of(node: _Tree) -> Any:
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


def decoder(paths: Iterable[Sequence[Step]]) -> msgspec.json.Decoder[Any]:
    """Return a decoder for an answer of which these paths are read; numbers keep their digits as Decimal."""
    tree = _grow(paths)
    if EACH in tree and not tree.whole and len(tree) == 1:
        shape: Any = list[_item_type(tree[EACH])] | None | bool | int | float | str | dict[str, msgspec.Raw]  # type: ignore[misc]
    else:
        shape = _type_of(tree)
    return msgspec.json.Decoder(shape, float_hook=Decimal)


def encode(value: Any) -> bytes:
    """Return JSON bytes; decimals are numbers with their digits, times are ISO 8601.

    Raises:
        ValueError: a value has no JSON form (a lone surrogate, for instance).
    """
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, TypeError, msgspec.MsgspecError, RecursionError):
        raise ValueError("a value has no JSON form") from None
