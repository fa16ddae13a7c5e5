"""Texts with names in braces, compiled once: what a keyed signature is made over, and how its headers look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter

from integrator.registry import near


class Template:
    r"""A text with names in braces; `{{` and `}}` stand for braces. Its pieces never print.

    Args:
        field: the field that it was written in, for messages.
        text: as the user wrote it; `\n` may stand for a line break.
        names: those that it may use.

    Raises:
        ValueError: a name is not known, or the braces do not match.
    """

    __slots__ = ("_pieces", "names")

    def __init__(self, field: str, text: str, names: Iterable[str]) -> None:
        known = sorted(names)
        try:
            found = list(Formatter().parse(text.replace("\\n", "\n")))
        except ValueError:
            raise ValueError(f"{field}: a brace is not closed; write {{{{ for a brace itself") from None
        self._pieces: list[tuple[bytes, str | None]] = []
        for literal, name, detail, conversion in found:
            if name is not None and (name not in known or detail or conversion):
                raise ValueError(f"{field}: no {{{name}}} here; {near(name, known)}")
            self._pieces.append((literal.encode(), name))
        self.names = frozenset(name for _literal, name in self._pieces if name is not None)

    def filled(self, values: Mapping[str, bytes]) -> bytes:
        """Return the text with every name replaced by its value, byte by byte; a value's own braces mean nothing."""
        return b"".join(part for literal, name in self._pieces for part in (literal, values[name] if name is not None else b""))
