"""What the hooks of all schemes share: a connection read, checked, masked, and turned into a signed session."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from airflow.configuration import conf
from airflow.sdk import BaseHook, get_current_context
from airflow.sdk.execution_time.comms import DeadlockImminentError
from airflow.sdk.log import mask_secret

from integrator import settings
from integrator.access.roles import project_of_dag, project_of_named
from integrator.auth.connections import of_connection
from integrator.auth.presenting import Around, make_ready
from integrator.auth.scheme import scheme_of, secrets_of
from integrator.auth.trying import try_credential
from integrator.errors import AccessError, ConfigError, IntegratorError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import CONN_TYPE_PREFIX, Credential
from integrator.store.memory_tokens import MemoryTokens
from integrator.wire.proxies import Proxies
from integrator.wiring import for_hooks

T = TypeVar("T")


class IntegratorHook(BaseHook):
    """Base of a scheme's hook.

    :param conn_id: the connection, `<project>__<name>`.
    """

    conn_name_attr = "conn_id"
    scheme: ClassVar[str]

    def __init__(self, conn_id: str = "", **kwargs: Any) -> None:
        super().__init__()
        del kwargs  # Airflow's connection test hands the connection's name by its attribute only
        self.conn_id = conn_id

    def credential(self) -> Credential:
        """Return the connection as a credential; its secrets, and what is derived from them, are masked in every log."""
        return credential_of(self.get_connection(self.conn_id))

    def get_conn(self) -> SignedSession:
        """Return a session that signs requests and reaches the credential's origin only."""
        refuse_another_project(self.conn_id)
        settings, masking = load_settings(), Masking()
        parts = replace(around(settings), on_secret=masking.note)
        return SignedSession(make_ready(self.credential(), parts), Proxies.of(settings), masking.tell)

    def test_connection(self) -> tuple[bool, str]:
        """Make a real call and say in words what came of it."""
        try:
            credential = self.credential()
            settings = load_settings()
            # The form tests a connection under a name that nobody else has, so nothing of it may be kept.
            made = replace(around(settings), tokens=MemoryTokens())
            if getattr(scheme_of(credential), "must_last", False):
                return False, (
                    "this sign-in gives a token that has to be kept, so it can be tried only once the connection is saved: "
                    "integrator credential test PROJECT/NAME"
                )
        except IntegratorError as fault:
            return False, str(fault)
        tried = apart(lambda: try_credential(credential, made))
        return tried.ok, tried.words


class Masking:
    """Secrets that come up in a session's own thread, and are told to Airflow's masker by the thread that uses the session.

    Airflow's masker asks the task's supervisor and waits for its answer. From the session's own thread that would wait for ever
    where the caller's event loop is in the middle of asking something else, since the caller waits for the session.
    """

    def __init__(self) -> None:
        self._new: deque[str] = deque()

    def note(self, secret: str) -> None:
        """Keep a secret until it is told."""
        self._new.append(secret)

    def tell(self) -> None:
        """Mask what has come up. What the supervisor cannot be told at this moment is masked in this process, and told the next time."""
        while self._new:
            try:
                mask_secret(self._new[0])
            except DeadlockImminentError:
                return
            self._new.popleft()


def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, since the caller's may have an event loop already."""
    with ThreadPoolExecutor(1, thread_name_prefix="integrator-test") as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def refuse_another_project(conn_id: str) -> None:
    """Refuse a credential of another project than the DAG's, whose ID begins with its project's name.

    Outside a task there is no DAG to ask about, and whoever can run code there has the keys anyway.

    Raises:
        AccessError: it belongs to another project.
    """
    try:
        dag_id = str(get_current_context()["dag"].dag_id)
    except (RuntimeError, LookupError):
        return
    project = project_of_named(conn_id)
    if project is None:
        raise AccessError(
            f"the connection {conn_id} belongs to no project; name it <project>__<name>, with the project of DAG {dag_id}"
        )
    if project_of_dag(dag_id) != project:
        raise AccessError(
            f"the connection {conn_id} belongs to project {project}, and this DAG does not; a DAG of that project is named {project}.<name>"
        )


def credential_of(connection: Any) -> Credential:
    """Return the credential of Airflow's connection, with every secret of it masked in logs.

    Raises:
        ConfigError: it is not one of ours.
    """
    if not str(connection.conn_type or "").replace("-", "_").startswith(CONN_TYPE_PREFIX):
        raise ConfigError(f"connection {connection.conn_id} is not of a type integrator_...; change its type")
    credential = of_connection(
        connection.conn_id or "test__test", connection.conn_type, connection.host, connection.extra,
        login=connection.login, password=connection.password, port=connection.port,
    )  # fmt: skip
    for secret in secrets_of(credential, scheme_of(credential)):
        mask_secret(secret)
    return credential


def around(of: settings.Settings) -> Around:
    """Return what a credential needs to be made ready in an Airflow process: its keys, its masker, and where tokens are kept."""
    return for_hooks(of, conf.get("core", "fernet_key", fallback="") or "", mask_secret)


def load_settings() -> settings.Settings:
    """Return the settings, from the environment and airflow.cfg."""
    return settings.load(os.environ, lambda name: conf.get(settings.SECTION, name, fallback=None))
