"""What signing in works with, made once in a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from integrator.actions.acting import Acting
from integrator.hooks.integrator_hook import load_settings
from integrator.settings import key_of
from integrator.store.audit import SqlAudit, heads_file
from integrator.store.database import open_engine
from integrator.store.members import SqlMembers
from integrator.store.tries import SqlTries
from integrator.store.user_sessions import SqlUserSessions

ORIGIN: ContextVar[str] = ContextVar("origin", default="")
"""The address of the request that is being answered, for what is called without it."""
KNOWN: ContextVar[dict[int, Any] | None] = ContextVar("known", default=None)
"""What was found out about users for the request that is being answered, and is asked anew for the next one."""


@dataclass(frozen=True, slots=True)
class SignInParts:
    """What the sign-in reads and writes."""

    members: SqlMembers
    sessions: SqlUserSessions
    tries: SqlTries
    audit: SqlAudit = field(repr=False)

    def acting(self, actor: str) -> Acting:
        """Return somebody who acts, from where the request came."""
        return Acting(actor, ORIGIN.get(), self.audit)


@cache
def sign_in_parts() -> SignInParts:
    """Return them.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    settings = load_settings()
    engine, key = open_engine(settings.database_url), key_of(settings)
    longest, idle = timedelta(minutes=settings.session_max_min), timedelta(minutes=settings.session_idle_min)
    audit = SqlAudit(engine, key, heads_file(settings.audit_log, settings.home))
    return SignInParts(SqlMembers(engine), SqlUserSessions(engine, longest, idle), SqlTries(engine, key), audit)


@contextmanager
def one_request(scope: Any) -> Iterator[None]:
    """Let what is called within know where a request came from, and ask once who somebody is."""
    client = scope.get("client")
    tokens = ORIGIN.set(client[0] if client else ""), KNOWN.set({})
    try:
        yield
    finally:
        ORIGIN.reset(tokens[0])
        KNOWN.reset(tokens[1])
