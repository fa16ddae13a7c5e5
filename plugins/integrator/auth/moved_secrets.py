"""Which secrets may stay when a credential is changed: none that would go elsewhere than it was given for. Source: PRODUCT.md P2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrator.auth.scheme import COMMON
from integrator.registry import find


def without_moved_secrets(
    scheme: str, before: tuple[str | None, Mapping[str, Any]], after: tuple[str | None, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the fields to keep: without the secrets that are as before, if one of the places that they go to is not.

    Args:
        before: base URL and fields.
        after: the same, as somebody wants them to be.
    """
    fields = (*find("scheme", scheme).FIELDS, *COMMON)
    moved = (before[0] or "").rstrip("/") != (after[0] or "").rstrip("/")
    moved |= any(str(before[1].get(one.name) or "") != str(after[1].get(one.name) or "") for one in fields if one.where)
    old = {one.name for one in fields if one.secret and moved and after[1].get(one.name) == before[1].get(one.name)}
    return {name: value for name, value in after[1].items() if name not in old}
