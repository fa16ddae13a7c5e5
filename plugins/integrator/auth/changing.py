"""A credential as it is to be kept: what is given over what is there, without secrets whose way has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from integrator.auth.moved_secrets import Place, without_moved_secrets
from integrator.auth.scheme import COMMON, Field
from integrator.errors import FieldsError
from integrator.model.credential import Credential, is_on
from integrator.registry import SCHEMES, find, near

Fill = Callable[[Mapping[str, Field], dict[str, Any]], None]
"""Fills in fields that are not given, by asking a person."""


def fields_of(scheme: str) -> dict[str, Field]:
    """Return a scheme's fields by name, those of all schemes too."""
    return {one.name: one for one in (*find("scheme", scheme).FIELDS, *COMMON)}


def changed(
    before: Credential | None,
    project: str,
    name: str,
    scheme: str | None,
    base_url: str | None,
    given: Mapping[str, Any],
    fill: Fill = lambda _known, _made: None,
) -> tuple[Credential, list[str]]:
    """Return the credential, and the names of the secrets that were erased since their way has changed.

    Args:
        before: what is there; None for a new one.
        scheme: None: as before.
        base_url: None: as before.
        given: field -> value; a field that is left out stays, one that is empty or null goes.

    Raises:
        FieldsError: something is missing, or means nothing to the scheme. No value is told.
    """
    scheme = scheme or (before.scheme if before is not None else None)
    if scheme is None or not (base_url or before):
        raise FieldsError({"scheme" if scheme is None else "base_url": "a new credential needs a scheme and a base URL"})
    if scheme not in SCHEMES:
        raise FieldsError({"scheme": f"no scheme {scheme[:60]!r}; {near(scheme[:60], SCHEMES)}"})
    known = fields_of(scheme)
    if unknown := [field for field in given if field not in known]:
        raise FieldsError(
            {f"fields.{one[:60]}": f"scheme {scheme} has no field {one[:60]!r}; {near(one[:60], known)}" for one in unknown}
        )
    filled = {field: value for field, value in given.items() if value not in ("", None)}
    kept = dict(before.extra) if before is not None and before.scheme == scheme else {}
    made = {field: value for field, value in {**kept, **filled}.items() if field in filled or field not in given}
    url, whole = base_url or (before.base_url if before is not None else ""), made
    if before is not None and before.scheme == scheme:
        left = without_moved_secrets(Place(scheme, before.base_url, before.extra), Place(scheme, url, made))
        made = left | filled  # what is given now is meant for the new place
    fill(known, made)
    erased = [field for field in whole if field not in made]
    _refuse_missing(scheme, known, made, erased)
    return Credential(
        project, name, scheme, url, {field: _typed(known.get(field), value) for field, value in made.items()}
    ), erased


def _refuse_missing(scheme: str, known: Mapping[str, Field], made: Mapping[str, Any], erased: list[str]) -> None:
    faults = {}
    for name, one in known.items():
        if one.required and one not in COMMON and name not in made:
            why = " (it was erased, since the place that it goes to changes)" if name in erased else ""
            faults[f"fields.{name}"] = f"scheme {scheme}: {name!r} is missing ({one.meaning}){why}"
    if faults:
        raise FieldsError(faults)


def _typed(field: Field | None, value: Any) -> Any:
    return is_on(value) if field is not None and isinstance(field.default, bool) and isinstance(value, str) else value
