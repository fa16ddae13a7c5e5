"""Who asks: somebody who is signed in to Airflow, with the roles that they have at this moment; and which project they may see."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from integrator.access.roles import is_project
from integrator.actions.who import Who
from integrator.errors import ForeignOriginError, NotAMemberError
from integrator.model.audit import PLATFORM, Came, Line
from integrator.web.parts import Parts, WebParts
from integrator.web.problems import shown

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "_token"
"""Airflow's name for its cookie; a test holds Airflow against it."""
PREFIXES, OTHERS = ("cli:", "user:"), ("upkeep", "link")
"""How others than people who are signed in are called, wherever the audit says who did something."""
_TOKEN = HTTPBearer(auto_error=False, scheme_name="token", description="A token of Airflow's: `POST /auth/token`.")
_COOKIE = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie",
    description="The cookie of a browser that is signed in to Airflow. A request that changes something must come from the same origin.",
)  # fmt: skip


async def signed_in_user(request: Request, token: Annotated[Any, Depends(_TOKEN)], _c: Annotated[Any, Depends(_COOKIE)]) -> Any:
    """Return Airflow's user.

    Raises:
        NotSignedInError: nobody whom it knows asks.
    """
    from integrator.web.signed_in import user_of

    return await user_of(request, token)


SignedIn = Depends(signed_in_user)


def standing(user: Annotated[Any, SignedIn]) -> Any:
    """Return what a user may do, read anew for this request."""
    from integrator.sign_in.standing import standing_of

    return standing_of(user)


def asker(
    request: Request,
    user: Annotated[Any, SignedIn],
    stands: Annotated[Any, Depends(standing)],
    parts: Annotated[WebParts, Parts],
) -> Who:
    """Return who asks.

    Raises:
        ForeignOriginError: a page of another site asks for a change, with the cookie of who looks at it.
    """
    who = Who(parts.acting(actor_of(user), address_of(request)), stands.platform, stands.roles)
    if request.method not in SAFE and not _has_token(request) and not _of_our_own(request, parts.origin):
        _note_refused(who, request, PLATFORM, request.url.path, ForeignOriginError)
        raise ForeignOriginError(
            "a change that is asked for with the cookie must come from a page of this very origin (Sec-Fetch-Site or Origin says so); "
            "programs send a token: Authorization: Bearer"
        )
    return who


Asks = Annotated[Who, Depends(asker)]


def platform_asker(request: Request, who: Asks) -> Who:
    """Return who asks, an administrator of the platform.

    Raises:
        RoleTooLowError: they are none.
    """
    who.need_platform()
    return who


PlatformAsks = Annotated[Who, Depends(platform_asker)]


def seen_project(
    project: Annotated[str, Path(description="a project's name", examples=["acme"])],
    request: Request,
    who: Asks,
    parts: Annotated[WebParts, Parts],
) -> str:
    """Return a project that who asks may see. Whether another one is there does not show.

    Raises:
        NotAMemberError: there is none of that name, or none for them.
    """
    if project in who.roles or (who.platform and is_project(project) and parts.knows(project)):
        return project
    if request.method not in SAFE:
        # In its own chain where there is such a project; a made-up name gets no chain.
        of = project if is_project(project) and parts.knows(project) else PLATFORM
        _note_refused(who, request, of, project, NotAMemberError)
    raise NotAMemberError(f"there is no project {shown(project)}")


Project = Annotated[str, Depends(seen_project)]


def _note_refused(who: Who, request: Request, project: str, target: str, fault: type[Exception]) -> None:
    action, acting = request.scope["route"].name, who.acting
    line = Line(acting.actor, action, project, target, acting.origin, Came.REFUSED, {"error": fault.__name__})
    acting.audit.add(line)


def actor_of(user: Any) -> str:
    """Return a user's name as the audit has it; one that could be taken for somebody else's says that it is a user's."""
    name = str(user.get_name())
    return f"user:{name}" if name.startswith(PREFIXES) or name in OTHERS else name


def address_of(request: Request) -> str:
    """Return from where a request comes, as the server sees it; a proxy's word for it counts where the server was told to trust it."""
    return request.client.host if request.client is not None else ""


def _has_token(request: Request) -> bool:
    """Tell whether Airflow goes by a token that the request itself brings, and not by the cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _of_our_own(request: Request, origin: str) -> bool:
    """Tell whether a browser sent this from a page of ours. A program that has nothing to say about it is refused: it may send a token.

    Airflow's auth manager asks the same for the whole server (`sign_in.own_origin`), and lets pass who says nothing.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    told = request.headers.get("origin", "").lower().rstrip("/")
    host = request.headers.get("host", "").lower()
    return bool(told) and bool(host) and told in {f"{request.url.scheme}://{host}", f"https://{host}", origin}
