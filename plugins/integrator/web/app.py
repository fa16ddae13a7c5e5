"""The application below /integrator: the API, and console logs to be downloaded."""

from __future__ import annotations

from fastapi import FastAPI

from integrator.web import console
from integrator.web.api import API
from integrator.web.guard import Guard
from integrator.web.problems import add_problems


def application() -> FastAPI:
    """Make it."""
    # No page of FastAPI's own, and no redirect to an address with a slash more or less: it would be made of the Host header.
    app = FastAPI(title="Integrator", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.include_router(console.router)
    for router in API:
        app.include_router(router, prefix="/v1")
    add_problems(app)
    app.add_middleware(Guard)
    return app
