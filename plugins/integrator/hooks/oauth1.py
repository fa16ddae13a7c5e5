"""The hook of scheme oauth1."""

from __future__ import annotations

from integrator.auth.oauth1 import OAuth1Scheme
from integrator.hooks.integrator_hook import IntegratorHook


class Oauth1Hook(IntegratorHook):
    """Signs with scheme oauth1."""

    scheme = OAuth1Scheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = OAuth1Scheme.LABEL
