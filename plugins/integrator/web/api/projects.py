"""Projects: listed, made, shown, configured, transferred, deleted."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, Field

from integrator.actions.configuring import Configuring
from integrator.actions.projects import Projects
from integrator.actions.who import Who
from integrator.errors import ConfigError
from integrator.model.access import Action, Role
from integrator.model.project import Wants, plans_of
from integrator.web.api.answers import Given, problems
from integrator.web.asking import Asks, Project
from integrator.web.parts import Parts, WebParts
from integrator.web.problems import shown

router = APIRouter(tags=["projects"])


class ProjectShown(BaseModel):
    """A project, as who asks sees it."""

    name: str = Field(examples=["acme"])
    role: Role | None = Field(
        description="the asker's role; null for an administrator of the platform", examples=["administrator"]
    )
    owner: str | None = Field(
        description="user name; null for a folder of pipes that nobody owns yet, which platform administrators alone see",
        examples=["olga"],
    )


class ProjectDetailed(ProjectShown):
    """A project, and what it wants of the platform."""

    configuration: dict[str, Any]


class ProjectsShown(BaseModel):
    """Projects, by name."""

    projects: list[ProjectShown]


class ProjectMade(Given):
    """A project to be made."""

    name: str = Field(description="small letters, digits and single underscores; the folder below dags/", examples=["acme"])
    owner: str = Field(description="user name of its owner, as Airflow's sign-in knows it, now or later", examples=["olga"])


class Ownership(Given):
    """Who is to own a project."""

    to: str = Field(description="user name of the new owner", examples=["adam"])


class Transferred(BaseModel):
    """Whose a project is, and whose it was."""

    name: str = Field(examples=["acme"])
    owner: str = Field(examples=["adam"])
    before: str | None = Field(description="the former owner, an administrator now; null where there was none", examples=["olga"])


class ProjectDeleted(BaseModel):
    """What a project's end took."""

    name: str = Field(examples=["acme"])
    deleted: dict[str, int] = Field(description="how much of what", examples=[{"runs": 12, "failures": 3, "console_logs": 1}])
    airflow: bool = Field(
        description="whether Airflow's own rows of its runs went too; else the daily purge takes them by plan", examples=[True]
    )


@router.get("/projects", name="project.list", operation_id="listProjects", summary="List projects", responses=problems())
def list_(who: Asks, parts: Annotated[WebParts, Parts]) -> ProjectsShown:
    """List the projects in which the asker has a role; for administrators of the platform all that are known, also folders of pipes without an owner."""
    owners, names = parts.members.owners(), parts.projects() if who.platform else who.roles
    found = [ProjectShown(name=name, role=who.roles.get(name), owner=owners.get(name)) for name in sorted(names)]
    return ProjectsShown(projects=found)


@router.post(
    "/projects",
    name="project.create",
    operation_id="createProject",
    summary="Make a project",
    status_code=201,
    responses=problems(409, body=True),
)
def create(made: ProjectMade, who: Asks, parts: Annotated[WebParts, Parts], response: Response) -> ProjectShown:
    """Give a project its owner; for administrators of the platform. Its folder of pipes may be there before or come later."""
    Projects(parts.members).create(who, made.name, made.owner)
    response.headers["Location"] = f"/integrator/v1/projects/{made.name}"
    return ProjectShown(name=made.name, role=None, owner=made.owner)


@router.get(
    "/projects/{project}", name="project.show", operation_id="showProject", summary="Show a project", responses=problems(404)
)
def show(project: Project, who: Asks, parts: Annotated[WebParts, Parts]) -> ProjectDetailed:
    """Show a project, the asker's role in it, and its configuration; for every member."""
    return _detailed(project, who, parts, _configuring(parts).show(who, project))


@router.patch(
    "/projects/{project}",
    name="project.configure",
    operation_id="configureProject",
    summary="Change a project's configuration",
    responses=problems(404, body=True),
)
def configure(
    project: Project, given: Annotated[dict[str, Any], Body()], who: Asks, parts: Annotated[WebParts, Parts]
) -> ProjectDetailed:
    """Change what a project wants: a field that is left out stays, null makes it as usual. For its owner and administrators."""
    return _detailed(project, who, parts, _configuring(parts).change(who, project, given))


@router.delete(
    "/projects/{project}",
    name="project.delete",
    operation_id="deleteProject",
    summary="Delete a project",
    responses=problems(403, 404, 409, 422),
)
def delete(
    project: Project,
    who: Asks,
    parts: Annotated[WebParts, Parts],
    confirm: Annotated[str, Query(description="the project's name, once more", examples=["acme"])] = "",
) -> ProjectDeleted:
    """Delete all that is kept of a project but who did what, and every role, for good; for its owner.

    Its pipes are files, and its credentials Airflow's connections: those stay. Refused while flow runs of it go on.
    """
    if confirm != project:
        who.need(project, Action.OWN)
        raise ConfigError(f"all that is kept of project {project} would go for good; say so with ?confirm={shown(project)}")
    kept = parts.kept(project)
    gone = Projects(parts.members).delete(who, project, kept)
    return ProjectDeleted(name=project, deleted=gone, airflow=kept.airflow is not None)


@router.post(
    "/projects/{project}/transfer",
    name="project.transfer",
    operation_id="transferProject",
    summary="Transfer a project",
    responses=problems(403, 404, body=True),
)
def transfer(project: Project, ownership: Ownership, who: Asks, parts: Annotated[WebParts, Parts]) -> Transferred:
    """Make another user the owner; the former one becomes an administrator. For the owner."""
    before = Projects(parts.members).transfer(who, project, ownership.to)
    return Transferred(name=project, owner=ownership.to, before=before)


def _configuring(parts: WebParts) -> Configuring:
    return Configuring(parts.wants, plans_of(parts.settings.plans))


def _detailed(project: str, who: Who, parts: WebParts, wants: Wants) -> ProjectDetailed:
    told = {**msgspec.to_builtins(wants), "alerts": msgspec.to_builtins(msgspec.structs.asdict(wants.alerts))}
    return ProjectDetailed(
        name=project, role=who.roles.get(project), owner=parts.members.owners().get(project), configuration=told
    )
