"""Lines that deployed functions write to their pipe's console log. While it is off, and in a preview, they go nowhere.

from integrator.mapping.logged import log

def house_sku(code):
    log("a code without a dash", code=code)
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_taking: ContextVar[Callable[[str, dict[str, Any]], None] | None] = ContextVar("integrator_lines", default=None)


def log(text: str, **values: Any) -> None:
    """Write a line to the pipe's console log, if somebody has switched it on with what is sent. Secrets are hidden as in all of it."""
    take = _taking.get()
    if take is not None:
        take(str(text), values)


def taken_by(take: Callable[[str, dict[str, Any]], None]) -> Any:
    """Let lines of this flow run be taken by this; returns what `no_longer` wants."""
    return _taking.set(take)


def no_longer(token: Any) -> None:
    """Take no more."""
    _taking.reset(token)
