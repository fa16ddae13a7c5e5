"""The hook of scheme digest."""

from __future__ import annotations

from integrator.auth.digest import DigestScheme
from integrator.hooks.integrator_hook import IntegratorHook


class DigestHook(IntegratorHook):
    """Signs with scheme digest."""

    scheme = DigestScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = DigestScheme.LABEL
