"""The hook of scheme session_login."""

from __future__ import annotations

from integrator.auth.session_login import SessionLoginScheme
from integrator.hooks.integrator_hook import IntegratorHook


class SessionLoginHook(IntegratorHook):
    """Signs with scheme session_login."""

    scheme = SessionLoginScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = SessionLoginScheme.LABEL
