"""The hook of scheme oauth2."""

from __future__ import annotations

from integrator.auth.oauth2 import OAuth2Scheme
from integrator.hooks.integrator_hook import IntegratorHook


class Oauth2Hook(IntegratorHook):
    """Signs with scheme oauth2."""

    scheme = OAuth2Scheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = OAuth2Scheme.LABEL
