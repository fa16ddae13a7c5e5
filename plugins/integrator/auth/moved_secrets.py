"""Which secrets may stay when a credential is changed: none that would go elsewhere than it was given for. Source: PRODUCT.md P2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from integrator.auth.scheme import COMMON
from integrator.registry import SCHEMES, find


class Place(NamedTuple):
    """Where a credential's secrets go: how they are presented, to which base URL, and its fields, some of which say so too.

    Attributes:
        scheme: whatever kind of connection it is; one that is none of ours has no fields that are known.
    """

    scheme: str
    base_url: str
    fields: Mapping[str, Any]


def without_moved_secrets(before: Place, after: Place) -> dict[str, Any]:
    """Return the fields to keep of `after`: without the secrets that are as before, if one of the places that they go to is not.

    Of a field that holds several values, one that is as before is enough: whoever edits it gets hidden ones filled in one by one.
    """
    known = [one for scheme in (before.scheme, after.scheme) if scheme in SCHEMES for one in find("scheme", scheme).FIELDS]
    fields = (*known, *COMMON)
    moved = before.scheme != after.scheme or before.base_url.rstrip("/") != after.base_url.rstrip("/")
    moved |= any(str(before.fields.get(one.name) or "") != str(after.fields.get(one.name) or "") for one in fields if one.where)
    if not moved:
        return dict(after.fields)
    old = {
        one.name
        for one in fields
        if one.secret and not set(_leaves(after.fields.get(one.name))).isdisjoint(_leaves(before.fields.get(one.name)))
    }
    return {name: value for name, value in after.fields.items() if name not in old}


def _leaves(value: Any) -> Iterator[str]:
    """Yield the single values of a field, as text."""
    if isinstance(value, (Mapping, list)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(one)
    elif value not in (None, ""):
        yield str(value)
