"""What the hooks of all schemes share: a connection read, checked, masked, and turned into a signed session."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import requests
from airflow.configuration import conf
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from integrator import settings
from integrator.auth.connections import of_connection
from integrator.auth.manners import manners_of
from integrator.auth.presenting import Around, make_ready
from integrator.auth.scheme import scheme_of, secrets_of
from integrator.errors import ConfigError, IntegratorError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import CONN_TYPE_PREFIX, Credential
from integrator.wire.proxies import Proxies
from integrator.wiring import for_hooks

TEST_TIMEOUT_S = 15


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
        settings = load_settings()
        return SignedSession(make_ready(self.credential(), around(settings)), Proxies.of(settings))

    def test_connection(self) -> tuple[bool, str]:
        """Make a real call and say in words what came of it."""
        try:
            credential = self.credential()
            manners_of(credential)  # says what is wrong with it now rather than when a pipe runs
            path = str(credential.extra.get("test_path") or "") or "/"
            with self.get_conn() as session:
                answer = session.get(path if path.startswith("/") else f"/{path}", timeout=TEST_TIMEOUT_S, allow_redirects=False)
        except IntegratorError as fault:
            return False, str(fault)
        except requests.exceptions.SSLError:
            return False, "the server's certificate does not hold for this host, or it does not speak TLS 1.2"
        except requests.exceptions.ConnectTimeout:
            return False, f"no connection within {TEST_TIMEOUT_S} s: is the host right, and may this machine reach it?"
        except requests.exceptions.ConnectionError:
            return False, "nothing answers at the base URL: is the host right, and is the system running?"
        except requests.exceptions.RequestException as fault:
            return False, f"the call failed ({type(fault).__name__})"
        return told(answer.status_code, path)


def told(status: int, path: str) -> tuple[bool, str]:
    """Return what a test's answer means."""
    if status == 401:
        return False, "the system refuses this sign-in (401): check user, password, token or key"
    if status == 403:
        return False, f"signed in, but {path} is not allowed (403): check the rights, or set another Test path"
    if status == 404:
        return (
            True,
            f"the system answers, but has nothing at {path} (404), so the sign-in is not proven; set a Test path that needs it",
        )
    if status >= 500:
        return False, f"the system answers with an error of its own ({status})"
    if 300 <= status < 400:
        return (
            True,
            f"the system answers {path} with a redirect ({status}), so the sign-in is not proven; set a Test path that needs it",
        )
    return True, f"signed in: {path} answers {status}"


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
