"""The API's own document."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from integrator import __version__
from integrator.web.api.answers import problems
from integrator.web.asking import Asks
from integrator.web.problems import Problem

router = APIRouter(tags=["document"])
TAGS = (
    ("projects", "A project is people and pipes that belong together: a folder below dags/, with one owner."),
    ("members", "Users and groups with a role in a project."),
    ("audit", "Who did what to which thing, from where, when, and what came of it."),
    ("document", "This document."),
)
ABOUT = """\
What `integrator project`, `integrator group`, `integrator credential` and `integrator audit` do, over HTTP, with the roles of who asks.

Sign in with a token of Airflow's (`POST /auth/token`), sent as `Authorization: Bearer`, or with its cookie from a page of the same origin.
Roles are read anew for each request. What is not the asker's is answered as what is not there: 404. A role that is too low: 403.
Faults are problem bodies (RFC 9457). No answer holds a secret."""


@router.get("/openapi.json", name="document.show", operation_id="showDocument", responses=problems())
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
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas["Problem"].pop("$defs", {}))
    for path in made["paths"].values():
        for operation in path.values():
            # Either of them is enough; the framework would list both as needed together.
            operation["security"] = [{"token": []}, {"cookie": []}]
    return made


def document_text() -> str:
    """Return the document as it is kept beside the code."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
