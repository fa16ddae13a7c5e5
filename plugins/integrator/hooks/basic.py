"""The hook of scheme basic."""

from __future__ import annotations

from integrator.auth.basic import BasicScheme
from integrator.hooks.integrator_hook import IntegratorHook


class BasicHook(IntegratorHook):
    """Signs with scheme basic."""

    scheme = BasicScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = BasicScheme.LABEL
