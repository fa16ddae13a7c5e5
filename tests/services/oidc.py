"""A certified OpenID provider that we did not write, in a process of its own; and a resource that asks it about every token."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.services.demo import ROOT, free_port

NPM = ROOT / "tests" / "services" / "npm"
SECRET = "s3cret-+&=%-of-the-client"


class Oidc:
    """The provider's addresses, and what tests ask it directly."""

    def __init__(self, ttl_s: int, alg: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {
            "secret": SECRET,
            "ttl": ttl_s,
            "alg": alg,
            "keys": [{**public, "kid": "k1", "use": "sig", "key_ops": ["verify"]}],
        }
        self.process = subprocess.Popen(
            ["node", str(NPM / "oidc.mjs"), str(self.port)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "OIDC": json.dumps(settings), "NODE_NO_WARNINGS": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        if not any(line.strip() == "ready" for line in self.process.stdout):
            raise RuntimeError("the OpenID provider did not start; were the npm packages installed (scripts/test does it)?")

    def _post(self, path: str, **form: str) -> Any:
        pair = b64encode(f"resource:{urllib.parse.quote_plus(SECRET)}".encode()).decode()
        request = urllib.request.Request(
            self.url + path, urllib.parse.urlencode(form).encode(), {"Authorization": f"Basic {pair}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def sign_in(self, client: str, **form: str) -> dict[str, Any]:
        """Return the answer to a password grant, made without our own code."""
        body = urllib.parse.urlencode({"grant_type": "password", "client_id": client, "client_secret": SECRET, **form}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/token", body), timeout=10) as answer:
            return dict(json.loads(answer.read()))

    def is_active(self, token: str) -> dict[str, Any]:
        """Return what the provider says of a token (RFC 7662)."""
        return dict(self._post("/token/introspection", token=token))

    def revoke(self, client: str, token: str) -> None:
        """Take a token back, and the family of a refresh token with it (RFC 7009)."""
        body = urllib.parse.urlencode({"token": token, "client_id": client, "client_secret": SECRET}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/token/revocation", body), timeout=10):
            pass

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def provider(ttl_s: int = 3600, alg: str = "RS256") -> Iterator[Oidc]:
    made = Oidc(ttl_s, alg)
    try:
        yield made
    finally:
        made.stop()


class Guard:
    """Lets only requests through whose bearer token the provider calls active."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self.tokens: Counter[str] = Counter()
        self.known: dict[str, dict[str, Any]] = {}
        self.revoked: set[str] = set()

    def __call__(self, request: Any) -> Any:
        from aiohttp import web

        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens[token] += 1
        if token in self.revoked:
            return web.Response(status=401)
        said = self.known.get(token) or self.oidc.is_active(token)
        if not said.get("active"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        self.known[token] = said
        return None
