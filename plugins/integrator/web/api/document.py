"""The API's own document."""

from __future__ import annotations

import json
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from integrator import __version__
from integrator.actions.wanted import Wanted
from integrator.model.project import Wants
from integrator.web.api.answers import problems
from integrator.web.asking import Asks
from integrator.web.problems import Problem

router = APIRouter(tags=["document"])
REF = "#/components/schemas/{model}"
TAGS = (
    ("projects", "A project is people and pipes that belong together: a folder below dags/, with one owner."),
    ("members", "Users and groups with a role in a project."),
    ("credentials", "Named secrets of a project, and how they are presented. No answer holds a secret."),
    ("groups", "Groups of Airflow's sign-in, which may be members of projects. For the platform's administrators."),
    ("audit", "Who did what to which thing, from where, when, and what came of it."),
    ("document", "This document."),
)
ABOUT = """\
What `integrator project`, `integrator group`, `integrator credential` and `integrator audit` do, over HTTP, with the roles of who asks.

Sign in with a token of Airflow's (`POST /auth/token`), sent as `Authorization: Bearer`, or with its cookie from a page of the same origin.
Roles are read anew for each request. What is not the asker's is answered as what is not there: 404. A role that is too low: 403.
Faults are problem bodies (RFC 9457). No answer holds a secret."""


@router.get(
    "/openapi.json", name="document.show", operation_id="showDocument", summary="Show the API's document", responses=problems()
)
def show(who: Asks) -> dict[str, Any]:
    """Give this document, to whoever is signed in."""
    return document()


@cache
def document() -> dict[str, Any]:
    """Return the API's document (OpenAPI 3.1)."""
    from integrator.web.api import API

    app = FastAPI()
    for one in API:
        app.include_router(one, prefix="/v1")
    made = get_openapi(
        title="Integrator", version=__version__, description=ABOUT, routes=app.routes, servers=[{"url": "/integrator"}],
        tags=[{"name": name, "description": words} for name, words in TAGS],
    )  # fmt: skip
    schemas = made["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema(ref_template=REF)
    schemas.update(schemas["Problem"].pop("$defs", {}))
    schemas.update(Wanted.model_json_schema(ref_template=REF).pop("$defs"))
    attributes = cleandoc(Wants.__doc__ or "").partition("Attributes:\n")[2]
    schemas["Wanted"] = {
        **Wanted.model_json_schema(ref_template=REF),
        "description": f"Changes to what a project wants: what is left out stays, null makes it as usual.\n\n{attributes}",
    }
    schemas["Wanted"].pop("$defs")
    schemas.update(msgspec.json.schema_components((Wants,), ref_template=REF.replace("model", "name"))[1])
    schemas["Wants"]["description"] = f"What a project wants of the platform.\n\n{attributes}"
    schemas["ProjectDetailed"]["properties"]["configuration"] = {"$ref": REF.format(model="Wants")}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    body = made["paths"]["/v1/projects/{project}"]["patch"]["requestBody"]
    body["content"] = {
        "application/json": {"schema": {"$ref": REF.format(model="Wanted")}, "example": {"console": "reason", "plan": "business"}}
    }
    for path in made["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                del operation["responses"]["422"]  # the framework adds it wherever an address has a parameter: ours gives 404
            for status in operation["responses"].keys() & {"200", "201", "204"}:
                _describe(operation["responses"][status], schemas)
    return made


def _describe(answer: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Say what an answer holds, in place of the framework's words for every one."""
    if answer["description"] == "Successful Response":
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        answer["description"] = schemas[name]["description"] if name else "It is done." if not schema else "It is given."


def document_text() -> str:
    """Return the document as it is kept beside the code."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
