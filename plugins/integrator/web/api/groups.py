"""Groups of Airflow's sign-in, for the platform's administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from integrator.actions.groups import Groups
from integrator.actions.projects import named
from integrator.errors import ConfigError
from integrator.model.access import Role
from integrator.web.api.answers import Given, problems
from integrator.web.asking import Asks
from integrator.web.parts import Parts, WebParts
from integrator.web.problems import OWN_WORDS

router = APIRouter(tags=["groups"])
USER = "/groups/{group}/users/{user:path}"


def _name(text: str) -> str:
    try:
        return named(text)
    except ConfigError:
        raise PydanticCustomError(OWN_WORDS, "is no name of a user or group") from None


GroupOf = Annotated[
    str, AfterValidator(_name), Path(description="a group's name; one with a slash is for the command line", examples=["ops"])
]
UserOf = Annotated[str, AfterValidator(_name), Path(description="user name, as Airflow's sign-in has it", examples=["ann"])]


class GroupShown(BaseModel):
    """A group, who is in it, and what it may do."""

    name: str = Field(examples=["ops"])
    users: list[str] = Field(examples=[["ann", "bob"]])
    roles: dict[str, Role] = Field(description="by project", examples=[{"acme": "administrator"}])


class GroupsShown(BaseModel):
    """Groups, by name."""

    groups: list[GroupShown]


class GroupMade(Given):
    """A group to be made."""

    name: str = Field(description="up to 100 characters", examples=["ops"])


class GroupDeleted(BaseModel):
    """A group that is gone, and where its roles went with it."""

    name: str = Field(examples=["ops"])
    projects: list[str] = Field(description="in which it had a role", examples=[["acme"]])


@router.get("/groups", name="group.list", operation_id="listGroups", summary="List groups", responses=problems(403))
def list_(who: Asks, parts: Annotated[WebParts, Parts]) -> GroupsShown:
    """List the groups of Airflow's sign-in, who is in them, and their roles in projects."""
    groups = _groups(parts)
    found = groups.all(who).items()
    return GroupsShown(groups=[GroupShown(name=name, users=users, roles=groups.roles.of_group(name)) for name, users in found])


@router.post(
    "/groups", name="group.create", operation_id="createGroup", summary="Make a group", status_code=201,
    responses=problems(409, body=True),
)  # fmt: skip
def create(made: GroupMade, who: Asks, parts: Annotated[WebParts, Parts]) -> GroupShown:
    """Make a group of nobody. Roles that were given to its name before hold from now on."""
    return GroupShown(name=made.name, users=[], roles=_groups(parts).create(who, made.name))


@router.delete(
    "/groups/{group}", name="group.delete", operation_id="deleteGroup", summary="Delete a group", responses=problems(403, 404)
)
def delete(group: GroupOf, who: Asks, parts: Annotated[WebParts, Parts]) -> GroupDeleted:
    """Delete a group, and with it its roles in projects: a later group of that name has none of them."""
    return GroupDeleted(name=group, projects=_groups(parts).delete(who, group))


@router.put(
    USER,
    name="group.add",
    operation_id="addToGroup",
    summary="Put a user into a group",
    status_code=204,
    responses=problems(403, 404),
)
def add(group: GroupOf, user: UserOf, who: Asks, parts: Annotated[WebParts, Parts]) -> Response:
    """Put a user into a group. Its roles are theirs from their next request on."""
    _groups(parts).add(who, group, user)
    return Response(status_code=204)


@router.delete(
    USER, name="group.remove", operation_id="removeFromGroup", summary="Take a user out of a group", status_code=204,
    responses=problems(403, 404),
)  # fmt: skip
def remove(group: GroupOf, user: UserOf, who: Asks, parts: Annotated[WebParts, Parts]) -> Response:
    """Take a user out of a group, from their next request on."""
    if not _groups(parts).remove(who, group, user):
        raise HTTPException(404, "this user is not in that group; GET /integrator/v1/groups lists them")
    return Response(status_code=204)


def _groups(parts: WebParts) -> Groups:
    return Groups(parts.sign_in, parts.members)
