"""Console logs downloaded: by a link, or by who is signed in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response

from integrator.model.console import ConsoleLog, LogState
from integrator.web.asking import SignedIn, actor_of, address_of
from integrator.web.parts import Parts, WebParts

LINK = "/console/links/{token}"
SIGNED_IN = "/console/{project}/{pipe}/{run_id}/{name}"

router = APIRouter(include_in_schema=False)


@router.get(LINK)
def by_link(token: str, request: Request, parts: Annotated[WebParts, Parts]) -> Response:
    """Give an object to whoever has its link, once."""
    name = parts.links.take(token)
    project, pipe, run_id, file = [*name.split("/", 3), "", "", ""][:4]
    parts.acting("link", address_of(request)).note("console.fetch", project, f"{project}/{pipe}", run=run_id)
    return _download(parts, _known(parts, project, pipe, run_id, file), name, file)


@router.get(SIGNED_IN)
def signed_in(
    project: str,
    pipe: str,
    run_id: str,
    name: str,
    request: Request,
    user: Annotated[Any, SignedIn],
    parts: Annotated[WebParts, Parts],
) -> Response:
    """Give an object to somebody who is signed in and may see the pipe's logs. What is not theirs is not there."""
    from integrator.web.signed_in import may_see_logs

    policy = parts.wants.wants(project).records_for_standard
    may = may_see_logs(user, project, pipe, records_for_standard=policy)
    log = _known(parts, project, pipe, run_id, name) if may else None
    if log is not None:
        parts.acting(actor_of(user), address_of(request)).note("console.fetch", project, f"{project}/{pipe}", run=run_id)
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
