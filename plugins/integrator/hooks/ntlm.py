"""The hook of scheme ntlm."""

from __future__ import annotations

from integrator.auth.ntlm import NtlmScheme
from integrator.hooks.integrator_hook import IntegratorHook


class NtlmHook(IntegratorHook):
    """Signs with scheme ntlm."""

    scheme = NtlmScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = NtlmScheme.LABEL
