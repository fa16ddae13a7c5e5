"""The hook of scheme token_chain."""

from __future__ import annotations

from integrator.auth.token_chain import TokenChainScheme
from integrator.hooks.integrator_hook import IntegratorHook


class TokenChainHook(IntegratorHook):
    """Signs with scheme token_chain."""

    scheme = TokenChainScheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = TokenChainScheme.LABEL
