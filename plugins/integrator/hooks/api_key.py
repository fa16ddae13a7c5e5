"""The hook of scheme api_key."""

from __future__ import annotations

from integrator.auth.api_key import ApiKeyScheme
from integrator.hooks.integrator_hook import IntegratorHook


class ApiKeyHook(IntegratorHook):
    """Signs with scheme api_key."""

    scheme = ApiKeyScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = ApiKeyScheme.LABEL
