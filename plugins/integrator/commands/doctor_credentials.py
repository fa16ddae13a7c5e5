"""What `integrator doctor` says of credentials: which cannot be used as they are, by themselves or in their project. Nothing is connected to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from integrator.actions.credentials import Found
from integrator.auth.presenting import refuse_outside
from integrator.commands.doctor_retention import Told, journal
from integrator.errors import IntegratorError
from integrator.settings import Settings
from integrator.store.projects import SqlProjects

CURE = "change it (integrator credential add --replace), or what its project wants (integrator project configure)"


def look(settings: Settings, credentials: Mapping[str, Found]) -> Iterator[Told]:
    """Yield what is found."""
    engine = journal(settings)
    if engine is None:
        return
    try:
        projects = SqlProjects(engine)
        for conn_id, found in sorted(credentials.items()):
            if isinstance(found.made, str):
                yield "warning", f"credential {conn_id} cannot be read: {found.made}", CURE
                continue
            try:
                refuse_outside(found.made, settings, projects.of_credential(found.made.project))
            except IntegratorError as fault:
                yield (
                    "warning",
                    f"credential {conn_id} cannot be used: {str(fault).removeprefix(f'credential {conn_id}: ')}",
                    CURE,
                )
    finally:
        engine.dispose()
