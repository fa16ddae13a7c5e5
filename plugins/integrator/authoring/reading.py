"""YAML 1.2 with line numbers. Source: YAML 1.2.2, section 10.3 (core schema).

The parser is libyaml's; what plain words mean is decided here, so that `no`, `on`, `yes` and `12:30` are text. A file's
size, depth and number of values are bounded, aliases included, and a key that stands twice is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

FILE_BYTES_MAX = 512 * 1024
VALUES_MAX = 20_000
DEPTH_MAX = 40
NESTING_EASY = 1000
"""Signs that could nest, up to which a file is composed without looking at its depth first."""
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"^[-+]?[0-9]{1,40}$")
_OCTAL_HEX = re.compile(r"^0(o[0-7]{1,40}|x[0-9a-fA-F]{1,40})$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?$")

YamlPath = tuple[str | int, ...]


class _Loader(_Parser):  # type: ignore[misc]
    """Leaves it to `plain` what an unquoted word means: YAML 1.1's many patterns are not even tried."""

    def descend_resolver(self, *_place: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass

    def resolve(self, *_node: Any) -> str:
        return "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a pipe file: where, what, and what to do."""

    file: str
    line: int
    path: str
    message: str
    cure: str = ""

    def __str__(self) -> str:
        """Return it as one line: file:line, YAML path, what, cure."""
        where = f" {self.path}:" if self.path else ""
        return f"{self.file}:{self.line}:{where} {self.message}" + (f" -> {self.cure}" if self.cure else "")


@dataclass(slots=True)
class Document:
    """A file's plain data, and the line on which each part of it stands."""

    data: Any
    lines: dict[YamlPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line_of(self, path: YamlPath) -> int:
        """Return the line of a path, or of the nearest part above it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(file: Path, shown: str) -> Document:
    """Read a file; what is wrong with it as YAML is in `faults`.

    Args:
        file: where it is.
        shown: how messages name it.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        return _broken(shown, 1, f"cannot be read ({error.strerror})", "check the file's rights")
    if len(text) > FILE_BYTES_MAX:
        return _broken(shown, 1, f"is larger than {FILE_BYTES_MAX // 1024} KiB", "a pipe holds no records; move tables elsewhere")
    return read_text(text, shown)


def read_text(text: bytes, shown: str) -> Document:
    """Read YAML text."""
    try:
        decoded = text.decode("utf-8-sig")
        if sum(map(decoded.count, "[{-?")) > NESTING_EASY and _too_deep(decoded):
            return _broken(shown, 1, f"has more than {DEPTH_MAX} levels", "look for brackets that are never closed")
        node = yaml.compose(decoded, Loader=_Loader)
    except UnicodeDecodeError:
        return _broken(shown, 1, "is not UTF-8 text", "save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return _broken(shown, line, f"is not YAML: {error.problem or error.context}", "look at this line and the one before it")
    except (yaml.YAMLError, RecursionError, ValueError):
        return _broken(shown, 1, "is not YAML, or is nested too deep", "look for a control character or endless nesting")
    if node is None:
        return _broken(shown, 1, "is empty", "write a pipe with flows:, or remove the file")
    document = Document(None)
    builder = _Builder(document, shown)
    document.data = builder.value(node, (), 0)
    return document


def _too_deep(text: str) -> bool:
    """Tell whether it is nested deeper than a pipe may be; composing such a text would exhaust the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            return True
    return False


def _broken(shown: str, line: int, message: str, cure: str) -> Document:
    return Document(None, faults=[Fault(shown, line, "", message, cure)])


class _Builder:
    """Makes plain data of a node tree."""

    def __init__(self, document: Document, shown: str) -> None:
        self._document, self._shown = document, shown
        self._count = 0

    def _fault(self, node: Any, path: YamlPath, message: str, cure: str) -> None:
        fault = Fault(self._shown, node.start_mark.line + 1, show_path(path), message, cure)
        if fault not in self._document.faults and len(self._document.faults) < 100:
            self._document.faults.append(fault)

    def value(self, node: Any, path: YamlPath, depth: int) -> Any:
        self._count += 1
        if self._count > VALUES_MAX or depth > DEPTH_MAX:
            if self._count <= VALUES_MAX + 1 or depth == DEPTH_MAX + 1:
                self._fault(
                    node,
                    path[:4],
                    f"the file has more than {VALUES_MAX:,} values or {DEPTH_MAX} levels",
                    "anchors that repeat anchors multiply; write it out",
                )
            self._count = VALUES_MAX + 2
            return None
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*path, at), depth + 1) for at, one in enumerate(node.value) if self._count <= VALUES_MAX]
        return dict(self._members(node, path, depth))

    def _members(self, node: Any, path: YamlPath, depth: int) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if self._count > VALUES_MAX:
                return
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key is not plain text", "keys are words")
                continue
            key = str(key_node.value)
            if key == "<<" and not key_node.style:
                self._fault(
                    key_node,
                    path,
                    "merge keys (<<) are not part of YAML 1.2",
                    "write the members out, or use an anchor for the whole value",
                )
                continue
            if key in seen:
                self._fault(
                    key_node,
                    (*path, key),
                    f"the key {key!r} stands twice",
                    "the second would silently replace the first; remove one",
                )
                continue
            seen.add(key)
            self._document.lines[(*path, key)] = key_node.start_mark.line + 1
            yield key, self.value(value_node, (*path, key), depth + 1)

    def _scalar(self, node: Any, path: YamlPath) -> Any:
        text: str = node.value
        if node.style:  # libyaml gives an unquoted word an empty style, Python's own parser none
            return text
        if node.tag and not node.tag.startswith("tag:yaml.org,2002:"):
            self._fault(node, path, f"the tag {node.tag} means nothing here", "remove it")
        return plain(text)


def plain(text: str) -> Any:
    """Return what an unquoted word means in YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.match(text):
        return int(text)
    if _OCTAL_HEX.match(text):
        return int(text, 0)
    return Decimal(text) if _FLOAT.match(text) else text


def show_path(path: YamlPath) -> str:
    """Return a YAML path as people read it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
