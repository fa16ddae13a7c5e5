"""The application: console logs to be downloaded, by a link or by who is signed in."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from integrator.errors import AccessError, IntegratorError, LinkRefusedError
from integrator.model.console import ConsoleLog, LogState
from integrator.web.parts import WebParts, web_parts
from integrator.web.signed_in import SignedIn, may_see_logs, name_of

logger = logging.getLogger(__name__)
HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'",
}  # fmt: skip
LINK = "/console/links/{token}"
SIGNED_IN = "/console/{project}/{pipe}/{run_id}/{name}"


def application() -> FastAPI:
    """Make it."""
    app = FastAPI(title="Integrator", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(LINK, by_link, methods=["GET"])
    app.add_api_route(SIGNED_IN, signed_in, methods=["GET"])
    app.add_exception_handler(IntegratorError, _refused)
    app.middleware("http")(_with_headers)
    return app


async def _with_headers(request: Request, go_on: Any) -> Response:
    answer: Response = await go_on(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _refused(_request: Request, fault: Exception) -> JSONResponse:
    """Answer with our own words, which hold neither a record nor a secret."""
    if isinstance(fault, LinkRefusedError):
        return JSONResponse({"detail": str(fault)}, 410 if fault.over else 404)
    if isinstance(fault, AccessError):
        return JSONResponse({"detail": str(fault)}, 403)
    logger.error("%s: %s", type(fault).__name__, fault)
    return JSONResponse({"detail": str(fault)}, 503)


def by_link(token: str, request: Request) -> Response:
    """Give an object to whoever has its link, once."""
    parts = web_parts()
    name = parts.links.take(token)
    project, pipe, run_id, file = [*name.split("/", 3), "", "", ""][:4]
    parts.acting("link", _from(request)).note("console.fetch", project, f"{project}/{pipe}", run=run_id)
    return _download(parts, _known(parts, project, pipe, run_id, file), name, file)


def signed_in(project: str, pipe: str, run_id: str, name: str, request: Request, user: Annotated[Any, SignedIn]) -> Response:
    """Give an object to somebody who is signed in and may see the pipe's logs. What is not theirs is not there."""
    parts = web_parts()
    log = _known(parts, project, pipe, run_id, name) if may_see_logs(user, project, pipe) else None
    if log is not None:
        parts.acting(name_of(user), _from(request)).note("console.fetch", project, f"{project}/{pipe}", run=run_id)
    return _download(parts, log, f"{project}/{pipe}/{run_id}/{name}", name)


def _known(parts: WebParts, project: str, pipe: str, run_id: str, file: str) -> ConsoleLog | None:
    """Return the log that has an object of this name, unless it was deleted."""
    logs = parts.console.logs(project, pipe, run_id)
    names = ((log, log.key(part)) for log in logs if log.state is not LogState.DELETED for part in range(log.objects))
    return next((log for log, key in names if key.rpartition("/")[2] == file), None)


def _download(parts: WebParts, log: ConsoleLog | None, name: str, file: str) -> Response:
    try:
        if log is None:
            raise KeyError(name)
        data = parts.objects.get(name)
    except KeyError:
        raise HTTPException(404, "there is no such console log") from None
    return Response(data, media_type="application/gzip", headers={"Content-Disposition": f'attachment; filename="{file}"'})


def _from(request: Request) -> str:
    return request.client.host if request.client is not None else ""
