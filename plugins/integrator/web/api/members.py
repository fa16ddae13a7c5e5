"""Members of a project: users and groups with a role."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, Field

from integrator.actions.projects import Projects
from integrator.model.access import Action, Kind, Member, Role
from integrator.web.api.answers import Given, problems
from integrator.web.asking import Asks, Project
from integrator.web.parts import Parts, WebParts

router = APIRouter(tags=["members"])
ONE = "/projects/{project}/members/{kind}/{member:path}"


class Kinds(StrEnum):
    """What a member is, as addresses say it."""

    USERS = "users"
    GROUPS = "groups"

    @property
    def one(self) -> Kind:
        """The same of a single one."""
        return Kind.USER if self is Kinds.USERS else Kind.GROUP


KindOf = Annotated[Kinds, Path(description="what the member is", examples=["users"])]
NameOf = Annotated[str, Path(description="name of the user or group, as Airflow's sign-in has it", examples=["stan"])]


class MemberShown(BaseModel):
    """A user or group with a role in a project."""

    kind: Kind = Field(examples=["user"])
    name: str = Field(examples=["stan"])
    role: Role = Field(examples=["standard"])
    given_by: str = Field(description="who gave it", examples=["olga"])
    given_at: datetime

    @classmethod
    def of(cls, member: Member) -> MemberShown:
        """Return a member as it is shown."""
        return cls(kind=member.kind, name=member.name, role=member.role, given_by=member.given_by, given_at=member.given_at)


class MembersShown(BaseModel):
    """Members: the owner, then by kind and name."""

    members: list[MemberShown]


class RoleGiven(Given):
    """A role to be given."""

    role: Literal["administrator", "standard"] = Field(
        description="in place of whatever the member had; ownership is not given but transferred", examples=["standard"]
    )


@router.get(
    "/projects/{project}/members",
    name="project.members",
    operation_id="listMembers",
    summary="List members",
    responses=problems(404),
)
def list_(project: Project, who: Asks, parts: Annotated[WebParts, Parts]) -> MembersShown:
    """List who has which role; for every member."""
    who.need(project, Action.SEE)
    return MembersShown(members=[MemberShown.of(one) for one in parts.members.of(project)])


@router.put(
    ONE, name="project.grant", operation_id="grantRole", summary="Give a role", responses=problems(403, 404, 409, body=True)
)
def grant(
    project: Project, kind: KindOf, member: NameOf, given: RoleGiven, who: Asks, parts: Annotated[WebParts, Parts]
) -> MemberShown:
    """Give a user or a group a role, in place of whatever they had, from their next request on; for the owner and administrators.

    The name may be of somebody who does not exist yet: it is an invitation then. The owner's role is transferred, and not given or taken.
    """
    Projects(parts.members).grant(who, project, kind.one, member, Role(given.role))
    found = next((one for one in parts.members.of(project) if (one.kind, one.name) == (kind.one, member)), None)
    if found is None:
        raise HTTPException(404, "the role was given, and taken again by somebody else meanwhile")
    return MemberShown.of(found)


@router.delete(
    ONE,
    name="project.revoke",
    operation_id="revokeRole",
    summary="Take a role",
    status_code=204,
    responses=problems(403, 404, 409, 422),
)
def revoke(project: Project, kind: KindOf, member: NameOf, who: Asks, parts: Annotated[WebParts, Parts]) -> None:
    """Take a user's or a group's role, from their next request on; for the owner and administrators. Never the owner's."""
    if not Projects(parts.members).revoke(who, project, kind.one, member):
        raise HTTPException(404, f"project {project} has no such member; GET its members lists them")
