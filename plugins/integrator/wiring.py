"""The one place that picks concrete classes. Everyone else is handed what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from integrator import settings as settings_of
from integrator.auth.connections import from_environment
from integrator.auth.presenting import Around, Ready, make_ready
from integrator.auth.scheme import secrets_of
from integrator.auth.tokens import Tokens
from integrator.authoring.planning import FlowPlan
from integrator.connectors.preloaded import PreloadedLookUp
from integrator.engine.hashed_ids import HashedJournal, Hasher
from integrator.engine.move import Asked, Moving, OpenFlow
from integrator.engine.ports import Journal
from integrator.errors import ConfigError, CredentialMissingError
from integrator.mapping.compile import Paths
from integrator.mapping.variables import environment_name, read_value
from integrator.model.credential import Credential
from integrator.model.project import USUAL, Wants
from integrator.model.run import Counts, FlowKey, FlowReport, RunKey
from integrator.settings import Settings, key_of
from integrator.store.console import SqlConsole
from integrator.store.console_objects import objects_of
from integrator.store.console_writer import ConsoleWriter
from integrator.store.database import open_engine, upgrade
from integrator.store.journal import SqlJournal
from integrator.store.limits import SqlLimits
from integrator.store.memory import MemoryJournal
from integrator.store.memory_limits import MemoryLimits
from integrator.store.memory_tokens import MemoryTokens
from integrator.store.owner import new_owner
from integrator.store.projects import SqlProjects
from integrator.store.sealing import KEY_VARIABLE
from integrator.store.tokens import tokens_of
from integrator.wire.egress import Egress
from integrator.wire.limits import Limits
from integrator.wire.message import Meter
from integrator.wire.redact import Redactor
from integrator.wire.sending import Sender
from integrator.wire.shared_gate import SharedGate
from integrator.wire.throttle import Throttle

GetCredential = Callable[[str, str], Credential | None]
"""From project and name to the credential, or None when there is none."""
GetVariable = Callable[[str, str], str | None]
"""From project and name to a project variable's text, or None when it is not set."""


@dataclass(frozen=True, slots=True)
class Using:
    """What one flow run uses: each credential made ready once, whatever it is used for, and the pipe's console log."""

    ready: dict[str, Ready]
    console: ConsoleWriter | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What one process needs to move records."""

    settings: Settings
    journal: SqlJournal | MemoryJournal
    get_credential: GetCredential = field(repr=False)
    limits: Limits = field(default_factory=MemoryLimits)
    tokens: Tokens = field(default_factory=MemoryTokens)
    console: SqlConsole | None = None
    on_secret: Callable[[str], None] = field(default=lambda _secret: None, repr=False)
    get_variable: GetVariable = field(default=lambda _project, _name: None, repr=False)
    wants: Callable[[str], Wants] = field(default=lambda _project: USUAL, repr=False)

    @property
    def hash_key(self) -> bytes:
        """Key of the keyed hashes.

        Raises:
            ConfigError: there is none.
        """
        return key_of(self.settings)

    def _flow_key(self, plan: FlowPlan) -> bytes:
        """Return the key of one flow's idempotency keys, so that two flows never have one in common."""
        name = f"{plan.key.project}\x00{plan.key.pipe}\x00{plan.key.flow}"
        return blake2b(name.encode(), key=self.hash_key, digest_size=32).digest()

    def credential(self, project: str, name: str) -> Credential:
        """Return a project's credential.

        Raises:
            CredentialMissingError: the project has none of that name.
        """
        found = self.get_credential(project, name)
        if found is None or found.project != project:
            variable = f"AIRFLOW_CONN_{project}__{name}".upper()
            raise CredentialMissingError(
                f"project {project} has no credential {name!r}; add it (integrator credential add {project}/{name}, or the connection "
                f"{project}__{name} in Airflow), or set {variable}"
            )
        return found

    def variable(self, project: str, name: str) -> Any:
        """Return the value of a project's variable.

        Raises:
            ConfigError: it is not set.
        """
        text = self.get_variable(project, name)
        if text is None:
            raise ConfigError(
                f"project {project} has no variable {name!r}; set {environment_name(project, name)}, or add the variable "
                f"{project}__{name} in Airflow"
            )
        return read_value(text)

    def open_flow(self, plan: FlowPlan, *, to_show: bool = False) -> OpenFlow:
        """Open both ends of a flow.

        Args:
            plan: the flow, compiled.
            to_show: whether people will look at mapped records, so that nothing of them may stay encoded.

        Raises:
            ConfigError: a credential or a variable is missing or cannot be used.
        """
        if plan.faults or plan.source_kind is None or plan.destination_kind is None:
            raise ConfigError(f"flow {plan.key.flow} has faults; `integrator check` lists them")
        plan.variables.values.update({name: self.variable(plan.key.project, name) for name in sorted(plan.variables.names)})
        spec, settings, meters = plan.spec, self.settings, [Meter(), Meter()]
        cap = spec.destination.in_flight or settings.in_flight_max
        using = Using({}, self.console_of(plan))
        first, most = settings.in_flight_start, settings.in_flight_max
        read = self._sender(plan, spec.source.credential, Throttle(first, most), meters[0], using)
        write = self._sender(plan, spec.destination.credential, Throttle(first, cap), meters[1], using)
        source = plan.source_kind.open_source(plan.source, plan.paths, set() if to_show else plan.carried, *read, settings)
        destination = plan.destination_kind.open_destination(
            plan.destination, *write, self._flow_key(plan), keeps_answers=bool(plan.steps.then)
        )
        flow = OpenFlow(plan, source, destination, meters, cap, console=using.console)
        self._open_steps(flow, {spec.source.credential: read, spec.destination.credential: write}, using)
        return flow

    def _open_steps(self, flow: OpenFlow, senders: dict[str | None, tuple[Sender | None, Egress | None]], using: Using) -> None:
        """Open what look-ups, calls after the write and listings are sent with; one credential's calls share a sender."""
        plan, steps, settings = flow.plan, flow.plan.steps, self.settings

        def sender(name: str | None) -> tuple[Sender | None, Egress | None]:
            if name not in senders:
                meter = Meter()
                made = self._sender(plan, name, Throttle(settings.in_flight_start, settings.in_flight_max), meter, using)
                senders[name] = made
                flow.meters.append(meter)
                flow.others += [made[0]] if made[0] is not None else []
            return senders[name]

        for step in steps.look_ups:
            ends = sender(step.spec.credential)
            if step.spec.preload:
                read: Paths = set(step.compiled.members) | (step.take.used.get("_i", set()) if step.take else {()})
                table = step.kind.open_source(step.compiled.source, read, set(), *ends, settings)
                flow.look_ups.append(PreloadedLookUp(step.name, step.compiled, table))
            else:
                flow.look_ups.append(step.kind.open_look_up(step.compiled, *ends))
        flow.then += [
            step.kind.open_destination(step.compiled, *sender(step.spec.credential), self._flow_key(plan)) for step in steps.then
        ]
        if steps.listing is not None and plan.destination_kind is not None:
            read = {*steps.listing.members, steps.listing.id, *steps.listing.compared}
            ends = sender(plan.spec.destination.credential)
            flow.listing = plan.destination_kind.open_source(steps.listing.source, read, set(), *ends, settings)
        flow.in_flight_max = min(flow.in_flight_max * (1 + len(steps.look_ups)), 1024)

    async def move(
        self, plan: FlowPlan, run: RunKey, asked: Asked, on_counts: Callable[[Counts], None] | None = None
    ) -> FlowReport:
        """Open a flow, move its records, and give its connections back.

        Raises:
            ConfigError: it cannot be opened; nothing was noted.
            StopRunError, TryAgainError: see `Moving.run`.
        """
        flow = self.open_flow(plan)
        try:
            return await Moving(flow, self._journal_of(plan), new_owner(), self.hash_key, on_counts).run(run, asked)
        finally:
            await flow.close()

    def _journal_of(self, plan: FlowPlan) -> Journal:
        return HashedJournal(self.journal, self.hasher_of(plan)) if plan.spec.source.keep_id == "hashed" else self.journal

    def hasher_of(self, plan: FlowPlan) -> Hasher:
        """Return what hashes a flow's entity IDs, where it keeps no others."""
        return Hasher(self._flow_key(plan))

    def console_of(self, plan: FlowPlan) -> ConsoleWriter | None:
        """Return what writes the flow's console log, should it be switched on when a run begins; None where none is kept."""
        if self.console is None or self.console.switch(plan.key.project, plan.key.pipe) is None:
            return None
        return ConsoleWriter(self.console, objects_of(self.settings), Redactor())

    def has_failures(self, key: FlowKey) -> bool:
        """Tell whether a flow has unresolved failures."""
        return self.journal.open_failure_ids(key, 0) is None

    def around(self, redactor: Redactor | None = None) -> Around:
        """Return what a credential needs to be made ready.

        Args:
            redactor: told of every secret that comes up, beside the door's own masker.
        """

        def on_secret(secret: str) -> None:
            self.on_secret(secret)
            if redactor is not None:
                redactor.know([secret])

        return Around(self.settings, self.tokens, lambda: self.hash_key, new_owner(), self.wants, on_secret)

    def _sender(
        self, plan: FlowPlan, name: str | None, throttle: Throttle, meter: Meter, using: Using
    ) -> tuple[Sender | None, Egress | None]:
        if name is None:
            return None, None
        settings, credential, console = self.settings, self.credential(plan.key.project, name), using.console
        if name not in using.ready:
            made = using.ready[name] = make_ready(credential, self.around(console.redactor if console else None), meter)
            if console is not None:
                console.redactor.know([*secrets_of(credential, made.scheme), *made.headers.values()])
        opened, manners = using.ready[name], using.ready[name].manners
        throttle.ask_first(hold_max_s=settings.wait_max_s)
        gate = SharedGate(self.limits, credential.conn_id, manners, new_owner(), settings.wait_max_s) if manners.shared else None
        ends = (opened.transport, opened.signer, throttle, meter, settings, manners, gate)
        return Sender(credential.conn_id, *ends, tap=console), opened.egress


def _kept(settings: Settings, fernet_keys: str) -> tuple[Any, SqlJournal, Tokens, Callable[[str], Wants]]:
    """Return the engine of our database, and what is kept there: the journal, tokens, and what projects want."""
    engine = open_engine(settings.database_url)
    tokens = tokens_of(engine, settings_of.token_keys(settings, fernet_keys))
    return engine, SqlJournal(engine, stale_after_s=settings.stale_after_s), tokens, SqlProjects(engine).of_credential


def for_cli(
    environ: Mapping[str, str],
    other_store: GetCredential = lambda _project, _name: None,
    other_variables: GetVariable = lambda _project, _name: None,
) -> Parts:
    """Return the parts of the command line: connections and variables from the environment, else from another store; our tables are made on first use."""

    def credential(project: str, name: str) -> Credential | None:
        return from_environment(environ, project, name) or other_store(project, name)

    def variable(project: str, name: str) -> str | None:
        found = environ.get(environment_name(project, name))
        return other_variables(project, name) if found is None else found

    settings = settings_of.load(environ)
    upgrade(settings.database_url)
    engine, journal, tokens, wants = _kept(settings, environ.get(KEY_VARIABLE, ""))
    return Parts(settings, journal, credential, SqlLimits(engine), tokens, SqlConsole(engine), get_variable=variable, wants=wants)


def for_airflow(
    settings: Settings,
    get_credential: GetCredential,
    get_variable: GetVariable,
    fernet_keys: str,
    on_secret: Callable[[str], None],
) -> Parts:
    """Return the parts of an Airflow task, whose door alone knows Airflow's settings, connections, variables, keys and masker."""
    engine, journal, tokens, wants = _kept(settings, fernet_keys)
    return Parts(settings, journal, get_credential, SqlLimits(engine), tokens, SqlConsole(engine), on_secret, get_variable, wants)


def for_hooks(settings: Settings, fernet_keys: str, on_secret: Callable[[str], None]) -> Around:
    """Return what a credential needs to be made ready for people's own code in an Airflow process."""
    more: dict[str, Any] = {}  # without a database of ours no project can have said what it wants
    if settings.sql_alchemy_conn:
        _, _, more["tokens"], more["wants"] = _kept(settings, fernet_keys)
    return Parts(settings, MemoryJournal(), lambda _project, _name: None, on_secret=on_secret, **more).around()


def for_tests(
    settings: Settings,
    credentials: Mapping[str, Credential],
    variables: Mapping[str, str] = MappingProxyType({}),
    wants: Wants = USUAL,
) -> Parts:
    """Return parts that keep nothing: a journal in memory, these credentials by connection ID, these variables, and what each project wants."""
    return Parts(
        settings,
        MemoryJournal(stale_after_s=settings.stale_after_s),
        lambda project, name: credentials.get(f"{project}__{name}"),
        get_variable=lambda project, name: variables.get(f"{project}__{name}"),
        wants=lambda _project: wants,
    )
