"""What `integrator doctor` looks at: each check returns findings, each with its cure."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrator import settings as settings_of
from integrator.actions.credentials import Found
from integrator.errors import IntegratorError
from integrator.settings import Settings
from integrator.sign_in import NAME as SIGN_IN
from integrator.store.console_objects import objects_of
from integrator.store.database import open_engine, parsed, revision_of
from integrator.store.sealing import KEY_VARIABLE, Sealer
from integrator.store.tables import HEAD
from integrator.wire.addresses import networks

JWT_MAX_S = 3600
TALKATIVE = ("DEBUG",)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`, `warning` or `grave`.
        cure: what to do; empty where all is well.
    """

    level: str
    what: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at.

    Attributes:
        airflow: reads a setting of Airflow, by section and name; None where there is no Airflow.
        credentials: returns the credentials that are known here, by connection ID.
    """

    environ: Mapping[str, str]
    settings: Settings
    airflow: Callable[[str, str], str] | None
    credentials: Callable[[], Mapping[str, Found]] = dict

    @property
    def production(self) -> bool:
        """Whether what is grave makes the doctor fail."""
        return self.settings.environment == "production"


def keys(patient: Patient) -> Iterator[Finding]:
    """Look at the keys that encrypt and hash."""
    try:
        Sealer(patient.environ.get(KEY_VARIABLE, ""))
    except IntegratorError:
        yield Finding(
            "grave",
            "there is no Fernet key, so credentials and tokens cannot be encrypted",
            f"set {KEY_VARIABLE}: integrator env, or scripts/run, makes one",
        )
    else:
        yield Finding("ok", "credentials and tokens are encrypted (Fernet)")
    if not patient.settings.hash_key:
        yield Finding(
            "grave",
            "there is no hash key, so runs cannot be resumed exactly",
            "set AIRFLOW__INTEGRATOR__HASH_KEY: integrator env makes one",
        )


def database(patient: Patient) -> Iterator[Finding]:
    """Look at the journal's database and its tables."""
    url = patient.settings.database_url
    try:
        name = parsed(url).database
        if parsed(url).get_backend_name() == "sqlite" and not Path(name or "").is_file():
            yield Finding(
                "warning",
                "there is no journal yet",
                "any `integrator` command that runs a pipe makes it, and so does `airflow db migrate`",
            )
            return
        engine = open_engine(url)
        try:
            found = revision_of(engine)
        finally:
            engine.dispose()
    except IntegratorError as fault:
        yield Finding("grave", str(fault), "look at [integrator] sql_alchemy_conn")
        return
    if found != HEAD:
        have = "has no tables of ours" if found is None else f"has tables of revision {found}"
        yield Finding(
            "grave",
            f"the journal's database {have}, and this version needs {HEAD}",
            "run `airflow db migrate`, or any `integrator` command",
        )
    else:
        yield Finding("ok", f"the journal's tables are at revision {HEAD}")
    if parsed(url).get_backend_name() == "sqlite" and patient.production:
        yield Finding(
            "warning", "the journal is a SQLite file, which one machine alone can use", "use PostgreSQL: docs/how-to/deploy.md"
        )
    if parsed(url).get_backend_name() == "postgresql" and parsed(url).query.get("sslmode") not in (
        "verify-full",
        "verify-ca",
        "require",
    ):
        yield Finding(
            "warning", "the connection to PostgreSQL may go in clear", "add ?sslmode=verify-full to [integrator] sql_alchemy_conn"
        )


def home(patient: Patient) -> Iterator[Finding]:
    """Look at who may read the home folder."""
    folder = Path(patient.settings.home)
    for path, allowed in ((folder, 0o700), (folder / settings_of.ENV_FILE, 0o600), (folder / "console", 0o700)):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & ~allowed & 0o077:
            yield Finding("grave", f"others than its user may read {path}", f"chmod {allowed:o} {path}")


def network(patient: Patient) -> Iterator[Finding]:
    """Look at what credentials may reach."""
    try:
        wide = [one for one in networks(patient.settings.allowed_networks) if one.prefixlen < (8 if one.version == 4 else 32)]
    except IntegratorError as fault:
        yield Finding("grave", str(fault), "correct [integrator] allowed_networks")
        return
    if wide:
        yield Finding(
            "grave", f"allowed_networks holds {wide[0]}, which is nearly everything", "name the networks of your systems only"
        )


def airflow(patient: Patient) -> Iterator[Finding]:
    """Look at Airflow's own settings."""
    if patient.airflow is None:
        yield Finding("ok", "no Airflow is named here; its settings were not looked at")
        return
    get = patient.airflow
    if get("core", "auth_manager") != SIGN_IN:
        yield Finding(
            "grave",
            "Airflow's pages and API do not ask who is a member of which project",
            f"set [core] auth_manager to {SIGN_IN}",
        )
    if (get("fab", "session_backend") or "database") != "database":
        yield Finding(
            "grave", "sessions live in the browser's cookie and cannot be ended here", "set [fab] session_backend = database"
        )
    life = get("api_auth", "jwt_expiration_time")
    if not life.isdigit() or int(life) > JWT_MAX_S:
        yield Finding(
            "warning", f"an API token is good for {life or 'a day'} seconds", "set [api_auth] jwt_expiration_time = 900"
        )
    if get("core", "hide_sensitive_var_conn_fields").lower() == "false":
        yield Finding("grave", "Airflow does not mask secrets in its logs", "set [core] hide_sensitive_var_conn_fields = True")
    if get("logging", "logging_level").upper() in TALKATIVE or get("logging", "fab_logging_level").upper() in TALKATIVE:
        yield Finding(
            "grave" if patient.production else "warning",
            "loggers are at DEBUG, and other libraries then write what they send",
            "set [logging] logging_level = INFO",
        )
    if get("logging", "remote_logging").lower() == "true" and get("logging", "delete_local_logs").lower() != "true":
        yield Finding(
            "warning", "task logs stay on each worker after they were uploaded", "set [logging] delete_local_logs = True"
        )
    base = get("api", "base_url")
    if not (get("api", "ssl_cert") or base.startswith("https://")):
        yield Finding(
            "grave" if patient.production else "warning",
            "the API server speaks plain http",
            "set [api] ssl_cert and ssl_key, or put a proxy with TLS before it and set [api] base_url to its https address",
        )


def console(patient: Patient) -> Iterator[Finding]:
    """Look at where console logs lie."""
    try:
        objects = objects_of(patient.settings)
        look = getattr(objects, "look", None)
        if look is None:
            return
        for level, what, cure in look():
            yield Finding(level, what, cure)
    except IntegratorError as fault:
        yield Finding("grave", str(fault), "look at [integrator] console_store, console_endpoint and the AWS credentials")


def retention(patient: Patient) -> Iterator[Finding]:
    """Look at whether what plans no longer keep really goes."""
    from integrator.commands.doctor_retention import look

    for level, what, cure in look(patient.settings, patient.environ, with_airflow=patient.airflow is not None):
        yield Finding("warning" if level == "grave" and not patient.production else level, what, cure)


def tasks(patient: Patient) -> Iterator[Finding]:
    """Look at whether tasks keep to their project."""
    if patient.airflow is None:
        return
    from integrator.commands.doctor_tasks import look

    for level, what, cure in look(patient.environ, patient.airflow):
        yield Finding("warning" if level == "grave" and not patient.production else level, what, cure)


def credentials(patient: Patient) -> Iterator[Finding]:
    """Look at which credentials cannot be used as they are: by themselves, or by what their project wants."""
    from integrator.commands.doctor_credentials import look

    for level, what, cure in look(patient.settings, patient.credentials()):
        yield Finding(level, what, cure)


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    keys,
    database,
    home,
    network,
    airflow,
    tasks,
    console,
    retention,
    credentials,
)


def examine(patient: Patient) -> list[Finding]:
    """Return all findings, the grave ones first."""
    order: dict[str, Any] = {"grave": 0, "warning": 1, "ok": 2}
    return sorted((finding for check in CHECKS for finding in check(patient)), key=lambda finding: order[finding.level])
