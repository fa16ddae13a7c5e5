"""The hook of scheme none."""

from __future__ import annotations

from integrator.auth.none import NoneScheme
from integrator.hooks.integrator_hook import IntegratorHook


class NoneHook(IntegratorHook):
    """Signs with scheme none."""

    scheme = NoneScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = NoneScheme.LABEL
