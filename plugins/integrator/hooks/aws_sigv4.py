"""The hook of scheme aws_sigv4."""

from __future__ import annotations

from integrator.auth.aws_sigv4 import AwsSigv4Scheme
from integrator.hooks.integrator_hook import IntegratorHook


class AwsSigv4Hook(IntegratorHook):
    """Signs with scheme aws_sigv4."""

    scheme = AwsSigv4Scheme.NAME
    conn_type = f"integrator_{scheme}"
    hook_name = AwsSigv4Scheme.LABEL
