"""What it costs to put a credential on one request, for every scheme, with a query and a body of 1 KB."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrator.auth.scheme import scheme_of
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.registry import SCHEMES
from integrator.wire.message import Answer, Request

AIM_US, RSA_AIM_US = 300.0, 600.0
TIMES, ROUNDS = 400, 5
USER = {"username": "integrator", "password": "correct horse battery"}
OAUTH1 = {"consumer_key": "ck_1", "consumer_secret": "cs_1", "token": "t_1", "token_secret": "ts_1", "realm": "1234567"}
TOKEN = Token("an-access-token", 0.0, more={"csrf": "x"})
CHALLENGE = {"WWW-Authenticate": 'Digest realm="r", nonce="abcdef", qop="auth", algorithm=SHA-256'}


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what is measured: a name, its scheme and its fields."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    chain = [{"path": "/t", "take": {"token": "a"}}]
    return {
        "none": ("none", {}), "basic": ("basic", USER), "bearer": ("bearer", {"token": "a-token-of-some-length"}), "api_key": ("api_key", {"api_key_secret": "a-key", "place": "query"}),
        "oauth1 HMAC-SHA256": ("oauth1", {**OAUTH1, "signature_method": "HMAC-SHA256"}), "oauth1 RSA-SHA256": ("oauth1", {**OAUTH1, "signature_method": "RSA-SHA256", "private_key": pem}),
        "oauth2": ("oauth2", {"token_url": "/token", "client_id": "c", "client_secret": "s"}), "session_login": ("session_login", {**USER, "logout": '{"path": "/out"}'}),
        "token_chain": ("token_chain", {**USER, "steps": json.dumps(chain)}), "digest": ("digest", USER),
        "aws_sigv4": ("aws_sigv4", {"access_key_id": "AKIA", "secret_access_key": "secret", "region": "eu-1", "service": "execute-api"}),
        "hmac_signature": ("hmac_signature", {"key_secret": "a-key", "key_id": "k", "message": "{timestamp}{method}{path}{body}", "headers": "X-Signature: {signature}"}),
    }  # fmt: skip


def measure_signing() -> dict[str, float]:
    """Return microseconds of CPU for one request, the median of some rounds."""
    made = {name: _measured(*case) for name, case in cases().items()}
    missing = set(SCHEMES) - {scheme for scheme, _fields in cases().values()} - {"ntlm"}  # which signs connections: W7
    assert not missing, missing
    return made


def _measured(name: str, fields: dict[str, Any]) -> float:
    scheme: Any = scheme_of(Credential("acme", "there", name, "https://api.example.com/v1", fields))
    request = Request(
        "POST",
        "https://api.example.com/v1/orders?page=2&since=2026-01-01T00%3A00%3A00Z&q=a+b",
        {"Content-Type": "application/json"},
        b"x" * 1024,
    )
    if hasattr(scheme, "heed"):
        assert scheme.heed(scheme.sign(request), Answer(401, CHALLENGE, b""))
    sign = (lambda: scheme.present(request, TOKEN)) if hasattr(scheme, "earn") else (lambda: scheme.sign(request))
    sign()
    found = []
    for _round in range(ROUNDS):
        began = time.process_time()
        for _time in range(TIMES):
            sign()
        found.append((time.process_time() - began) / TIMES * 1e6)
    return statistics.median(found)


def signing_table(found: dict[str, float]) -> str:
    """Return the figures as a table."""
    lines = ["| signing one request | CPU us | aim | |", "|---|--:|--:|---|"]
    for name, cost in found.items():
        aim = RSA_AIM_US if "RSA" in name else AIM_US
        lines.append(f"| {name} | {cost:.1f} | {aim:.0f} | {'reached' if cost <= aim else 'short'} |")
    return "\n".join(lines)
