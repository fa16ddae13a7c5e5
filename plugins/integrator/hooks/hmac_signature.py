"""The hook of scheme hmac_signature."""

from __future__ import annotations

from integrator.auth.hmac_signature import HmacSignatureScheme
from integrator.hooks.integrator_hook import IntegratorHook


class HmacSignatureHook(IntegratorHook):
    """Signs with scheme hmac_signature."""

    scheme = HmacSignatureScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = HmacSignatureScheme.LABEL
