"""What Airflow learns about this distribution: connection types with their forms, settings, and our tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from integrator import __version__
from integrator.auth.scheme import COMMON, Field
from integrator.model.credential import CONN_TYPE_PREFIX
from integrator.registry import SCHEMES, find
from integrator.settings import SECTION, Settings

_HIDDEN = ["login", "password", "port", "schema", "description"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description. Called by every Airflow process, so it imports little."""
    return {
        "package-name": "integrator",
        "name": "Integrator",
        "description": "Moves records between business systems and keeps none of them.",
        "versions": [__version__],
        "connection-types": [_connection_type(name) for name in SCHEMES],
        "db-managers": ["integrator.migrate_tables.IntegratorTables"],
        "config": {SECTION: {"description": "Integrator's settings.", "options": _options()}},
    }


def hook_class(scheme: str) -> str:
    """Return the dotted name of a scheme's hook class."""
    words = "".join(part.capitalize() for part in scheme.split("_"))
    return f"integrator.hooks.{scheme}.{words}Hook"


def _connection_type(name: str) -> dict[str, Any]:
    scheme = find("scheme", name)
    return {
        "connection-type": CONN_TYPE_PREFIX + name,
        "hook-class-name": hook_class(name),
        "hook-name": scheme.LABEL,
        "ui-field-behaviour": {
            "hidden-fields": _HIDDEN,
            "relabeling": {"host": "Base URL"},
            "placeholders": {"host": "https://api.example.com"},
        },
        "conn-fields": {field.name: _form_field(field) for field in (*scheme.FIELDS, *COMMON)},
    }


def _form_field(field: Field) -> dict[str, Any]:
    kind: Any = "boolean" if isinstance(field.default, bool) else "string"
    schema: dict[str, Any] = {"type": kind if field.required or kind == "boolean" else [kind, "null"]}
    if field.secret:
        schema["format"] = "password"
    if field.choices:
        schema["enum"] = [*field.choices]
    if field.default is not None:
        schema["default"] = field.default
    return {"label": field.label, "description": field.meaning, "schema": schema}


def _options() -> dict[str, Any]:
    kinds = {"str": "string", "int": "integer", "float": "float"}
    return {
        one.name: {
            "description": one.metadata["meaning"] + (f" ({one.metadata['unit']})" if one.metadata["unit"] else ""),
            "version_added": "0.1.0",
            "type": kinds[str(one.type)],
            "sensitive": bool(one.metadata["secret"]),
            "example": None,
            "default": str(one.default) if one.default != "" else "",
        }
        for one in fields(Settings)
        if one.name != "home"
    }
