"""HTTP APIs that speak JSON."""

from __future__ import annotations

from typing import ClassVar

from integrator.connectors.rest_destination import RestDestination
from integrator.connectors.rest_destination_plan import RestDestinationPlan, compile_destination
from integrator.connectors.rest_look_up import RestLookUp, RestLookUpPlan, compile_look_up
from integrator.connectors.rest_source import RestSource
from integrator.connectors.rest_source_plan import RestSourcePlan, compile_source
from integrator.errors import ConfigError
from integrator.mapping.compile import Paths
from integrator.settings import Settings
from integrator.wire.egress import Egress
from integrator.wire.sending import Sender


class RestConnector:
    """Fits `Connector`."""

    NEEDS_CREDENTIAL: ClassVar[bool] = True
    LOOKS_UP: ClassVar[bool] = True

    compile_source = staticmethod(compile_source)
    compile_destination = staticmethod(compile_destination)
    compile_look_up = staticmethod(compile_look_up)

    @staticmethod
    def open_source(
        plan: RestSourcePlan, paths: Paths, carried: Paths, sender: Sender | None, egress: Egress | None, settings: Settings
    ) -> RestSource:
        """Return a source that reads only these paths of a record, and does not take apart what is `carried`."""
        if sender is None or egress is None:
            raise ConfigError("a rest source needs a credential")
        return RestSource(plan, paths, carried, sender, egress, settings)

    @staticmethod
    def open_destination(
        plan: RestDestinationPlan, sender: Sender | None, egress: Egress | None, hash_key: bytes, *, keeps_answers: bool = False
    ) -> RestDestination:
        """Return a destination."""
        if sender is None or egress is None:
            raise ConfigError("a rest destination needs a credential")
        return RestDestination(plan, sender, egress, hash_key, keeps_answers=keeps_answers)

    @staticmethod
    def open_look_up(plan: RestLookUpPlan, sender: Sender | None, egress: Egress | None) -> RestLookUp:
        """Return a look-up."""
        if sender is None or egress is None:
            raise ConfigError("a rest look-up needs a credential")
        return RestLookUp(plan, sender, egress)
