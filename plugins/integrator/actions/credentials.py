"""A project's credentials: shown without a secret, added, changed, removed, tried. Each checks the role first, and is noted with what came of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from integrator.access.roles import is_project
from integrator.actions.credential_shown import Shown, Signed, shown_of, version_of
from integrator.actions.who import Who
from integrator.auth.changing import Fill, changed
from integrator.auth.places import places_of
from integrator.auth.presenting import Around, make_ready
from integrator.auth.scheme import short_secrets
from integrator.auth.trying import Tried, try_credential
from integrator.errors import ConflictError, CredentialMissingError, FieldsError, IntegratorError, OutdatedError, RoleTooLowError
from integrator.model.access import Action
from integrator.model.credential import Credential
from integrator.model.names import NAME

NAME_MAX = 64
_ORIGIN = re.compile(r"https?://[^/@?#\\\s]+:\d+|\*\.[^/@?#\\\s]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A credential in a store.

    Attributes:
        made: it; or why it cannot be read.
    """

    kept_in: str
    made: Credential | str = field(repr=False)


class Store(Protocol):
    """Where credentials are kept, encrypted as a whole. Each raises ConfigError where there is none, or it cannot be read."""

    def every(self, project: str | None) -> dict[str, Found]:
        """Return a project's credentials by connection ID; those of all projects for None."""

    def get(self, project: str, name: str) -> Credential | None:
        """Return a credential, or None when there is none."""

    def save(self, credential: Credential, *, replace: bool) -> None:
        """Keep a credential; ConfigError when it is there already and not to be replaced."""

    def remove(self, project: str, name: str) -> bool:
        """Remove a credential; returns whether it was there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of adding or changing one.

    Attributes:
        erased: secrets that went, since the place that they go to has changed.
        warnings: in words.
    """

    credential: Credential
    erased: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What may be asked for of credentials.

    Args:
        around: what one needs to be made ready and tried, with what its project wants.
        signed: returns how sign-ins stand, by connection ID.
        removed: told of a credential that was removed, with project, name and who did it.
    """

    store: Store
    around: Around
    signed: Callable[[], Mapping[str, Signed]] = dict
    removed: Callable[[str, str, str], None] = lambda _project, _name, _by: None

    def every(self, who: Who, project: str | None) -> list[Shown]:
        """Return what may be shown of a project's credentials, by name; of all projects' for None, which is the platform's.

        Raises:
            AccessError: they are not theirs to see.
        """
        if project is not None:
            who.need(project, Action.USE_CREDENTIALS)
        elif not who.platform:
            raise RoleTooLowError("the credentials of every project are for the platform's administrators")
        signed = self.signed()
        return [self._shown(conn_id, found, signed.get(conn_id)) for conn_id, found in sorted(self.store.every(project).items())]

    def show(self, who: Who, project: str, name: str) -> Shown:
        """Return what may be shown of one.

        Raises:
            AccessError: it is not theirs to see.
            CredentialMissingError: there is none.
        """
        who.need(project, Action.USE_CREDENTIALS)
        _refuse_name(project, name)
        conn_id = f"{project}__{name}"
        found = self.store.every(project).get(conn_id)
        if found is None:
            raise _missing(project, name)
        return self._shown(conn_id, found, self.signed().get(conn_id))

    def add(self, who: Who, project: str, name: str, scheme: str, base_url: str, fields: Mapping[str, Any]) -> Kept:
        """Keep a new credential.

        Raises:
            AccessError: as for `keep`.
            ConfigError: as for `keep`; or it is there already.
        """
        return self.keep(who, project, name, scheme, base_url, fields, replace=False)

    def edit(
        self, who: Who, project: str, name: str, fields: Mapping[str, Any], *,
        scheme: str | None = None, base_url: str | None = None, version: str | None = None,
    ) -> Kept:  # fmt: skip
        """Change a credential; a field that is left out stays, one that is empty or null goes.

        Args:
            version: of `Shown`; refused where the credential has been changed since.

        Raises:
            AccessError, ConfigError: as for `keep`.
            CredentialMissingError: there is none.
            OutdatedError: it is of another version.
        """
        return self.keep(who, project, name, scheme, base_url, fields, replace=True, version=version, must_be=True)

    def keep(
        self, who: Who, project: str, name: str, scheme: str | None, base_url: str | None, fields: Mapping[str, Any], *,
        replace: bool, must_be: bool = False, version: str | None = None, fill: Fill = lambda _known, _made: None,
    ) -> Kept:  # fmt: skip
        """Keep a credential. A secret never stays when the place that it goes to changes.

        Args:
            replace: whether one that is there is changed.
            must_be: whether there has to be one.
            fill: asks a person for what is not given.

        Raises:
            NotAMemberError: they have no role there.
            RoleTooLowError: it names a place that no credential of the project has yet, and they may not add one.
            ConfigError: it is there already, or something is missing or cannot be used, by itself or in this project.
        """
        with who.acting.doing("credential.keep", project, f"{project}/{name}", replaced=replace) as told:
            who.need(project, Action.USE_CREDENTIALS)
            _refuse_name(project, name)
            before = self.store.get(project, name)
            if before is None and must_be:
                raise _missing(project, name)
            if before is not None and not replace:
                raise ConflictError(
                    f"project {project} has a credential {name!r} already; change that one (on the command line: --replace)"
                )
            if before is not None and version is not None and version != version_of(before, self.around.hash_key()):
                raise OutdatedError(f"credential {project}/{name} has been changed since; look at it again")
            made, erased = changed(before, project, name, scheme, base_url, fields, fill)
            told.update(scheme=made.scheme, erased=" ".join(erased))
            if new := self._new_places(made):
                told["new_places"] = " ".join(new)
                _need_place(who, project, new)
            make_ready(made, self.around)
            self.store.save(made, replace=replace)
        return Kept(made, tuple(erased), tuple(short_secrets(made)))

    def remove(self, who: Who, project: str, name: str, *, tokens_only: bool = False) -> None:
        """Remove a credential and what its sign-ins earned, or only that.

        Raises:
            AccessError: it is not theirs to remove.
            CredentialMissingError: there is none; what its sign-ins earned is gone all the same.
        """
        with who.acting.doing("credential.remove", project, f"{project}/{name}", tokens_only=tokens_only):
            who.need(project, Action.USE_CREDENTIALS)
            _refuse_name(project, name)
            self.around.tokens.forget(f"{project}__{name}")
            if tokens_only:
                return
            if not self.store.remove(project, name):
                raise _missing(project, name)
        self.removed(project, name, who.acting.actor)

    def test(self, who: Who, project: str, name: str) -> Tried:
        """Make a real call with a credential; blocks for as long as that takes, and must not be called on an event loop.

        Raises:
            AccessError: it is not theirs to use.
            CredentialMissingError: there is none.
        """
        with who.acting.doing("credential.test", project, f"{project}/{name}") as told:
            who.need(project, Action.USE_CREDENTIALS)
            _refuse_name(project, name)
            found = self.store.get(project, name)
            if found is None:
                raise _missing(project, name)
            tried = asyncio.run(try_credential(found, self.around))
            told["works"] = tried.ok
        return tried

    def _new_places(self, made: Credential) -> list[str]:
        """Return the places that a credential names and no credential of its project does yet."""
        known: set[str] = set()
        for found in self.store.every(made.project).values():
            if isinstance(found.made, Credential):
                known |= _places(found.made)
        return sorted({_shown_place(one) for one in places_of(made) - known})

    def _shown(self, conn_id: str, found: Found, signed: Signed | None) -> Shown:
        return shown_of(conn_id, found.kept_in, found.made, signed, self.around)


def _need_place(who: Who, project: str, new: Iterable[str]) -> None:
    try:
        who.need(project, Action.NEW_BASE_URL)
    except RoleTooLowError:
        raise RoleTooLowError(
            f"no credential of project {project} goes to {', '.join(new)} yet; its owner or an administrator has to make the first one that does"
        ) from None


def _shown_place(place: str) -> str:
    """Return a place as it may be told: one that is no origin is the text of an address that nobody could read, and may hold a secret."""
    return place if _ORIGIN.fullmatch(place) else "an address that cannot be read"


def _places(credential: Credential) -> frozenset[str]:
    try:
        return places_of(credential)
    except IntegratorError:
        return frozenset()  # what cannot be used goes nowhere, so it vouches for nothing


def _refuse_name(project: str, name: str) -> None:
    if not is_project(project) or not re.fullmatch(NAME, name) or len(name) > NAME_MAX:
        raise FieldsError(
            {
                "name": "a credential is named <project>/<name>, each in small letters, digits and single underscores, such as acme/shop"
            }
        )


def _missing(project: str, name: str) -> CredentialMissingError:
    return CredentialMissingError(f"project {project} has no credential {name!r}")
