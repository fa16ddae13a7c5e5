"""Signed statements about ourselves, instead of a shared secret. Source: RFC 7523, RFC 7519."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from integrator.auth.private_keys import read_private_key
from integrator.auth.scheme import one_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LASTS_S = 300
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is stated, and what it is signed with.

    Attributes:
        claims: fixed claims; `iss`, `sub` and `aud` among them.
        key_id: `kid` of the header; empty for none.
    """

    key: RSAPrivateKey | EllipticCurvePrivateKey = field(repr=False)
    algorithm: str
    key_id: str
    claims: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, given: Mapping[str, Any], claims: Mapping[str, Any]) -> Assertion:
        """Make it from a credential's fields.

        Raises:
            ValueError: a field cannot be used.
        """
        if not given.get("private_key"):
            raise ValueError("private_key is needed for this grant or client_auth")
        algorithm = one_of("algorithm", given.get("algorithm") or "RS256", ALGORITHMS)
        key = read_private_key("private_key", str(given["private_key"]))
        if isinstance(key, RSAPrivateKey) == algorithm.startswith("ES"):
            raise ValueError(f"private_key is not a key for algorithm {algorithm}")
        return cls(key, algorithm, str(given.get("key_id") or ""), {**claims, **_more(given.get("assertion_claims"))})

    def text(self) -> str:
        """Return a fresh assertion; no two are alike."""
        now = int(time.time())
        claims = {"iat": now, "exp": now + LASTS_S, "jti": str(uuid.uuid4()), **self.claims}
        return jwt.encode(claims, self.key, self.algorithm, {"kid": self.key_id} if self.key_id else None)


def _more(text: Any) -> dict[str, Any]:
    if not text:
        return {}
    try:
        made = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        made = None
    if not isinstance(made, dict):
        raise ValueError('assertion_claims is not a JSON object, such as {"scope": ["rest_webservices"]}')
    return made
