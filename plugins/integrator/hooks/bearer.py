"""The hook of scheme bearer."""

from __future__ import annotations

from integrator.auth.bearer import BearerScheme
from integrator.hooks.integrator_hook import IntegratorHook


class BearerHook(IntegratorHook):
    """Signs with scheme bearer."""

    scheme = BearerScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = BearerScheme.LABEL
