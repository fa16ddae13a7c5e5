"""How a person signs in for a credential: where to send them, and what their coming back is worth. Source: RFC 6749, 4.1; RFC 7636."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlencode

from integrator.auth.oauth2 import OAuth2Scheme
from integrator.auth.scheme import Call
from integrator.auth.token_answers import token_of
from integrator.errors import SignInAgainError
from integrator.model.tokens import Token


@dataclass(frozen=True, slots=True)
class Dance:
    """One person's sign-in: good once, for whoever holds the verifier."""

    scheme: OAuth2Scheme = field(repr=False)
    redirect_url: str
    state: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(64))

    def url(self) -> str:
        """Return where the person is to sign in."""
        challenge = urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.scheme.client_id,
            "redirect_uri": self.redirect_url,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"scope": self.scheme.form["scope"]} if "scope" in self.scheme.form else {}),
            **self.scheme.authorize_params,
        }
        there = self.scheme.authorize_url
        return f"{there}{'&' if '?' in there else '?'}{urlencode(asked)}"

    async def token(self, call: Call, came_back_with: Mapping[str, str]) -> Token:
        """Return the token that the person's coming back is worth.

        Args:
            came_back_with: the query of the address at which the browser ended.

        Raises:
            SignInAgainError: access was denied, or it is not this sign-in's answer.
        """
        if not hmac.compare_digest(came_back_with.get("state", "").encode(), self.state.encode()):
            raise SignInAgainError("the browser came back with an answer to another sign-in (state); begin anew")
        if came_back_with.get("error"):
            denied = came_back_with["error"] == "access_denied"
            raise SignInAgainError(
                "access was denied there" if denied else "the sign-in page refuses; check client_id, scope and the redirect URL"
            )
        code = came_back_with.get("code")
        if not code:
            raise SignInAgainError("the browser came back without a code; begin anew")
        answer = await call(self.scheme.code_request(code, self.verifier, self.redirect_url))
        return token_of(answer, None, lasts_s=self.scheme.lasts_s, base_url_from=self.scheme.base_url_from)
