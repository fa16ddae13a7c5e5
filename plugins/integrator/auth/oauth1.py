"""OAuth 1.0: one-, two- and three-legged. Source: RFC 5849."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from integrator.auth.scheme import AUTHORIZE, Call, Field, one_of
from integrator.errors import SignInAgainError
from integrator.model.credential import is_on
from integrator.model.tokens import Token
from integrator.wire.headers import header_safe
from integrator.wire.message import Request

if TYPE_CHECKING:
    from integrator.auth.oauth1_signing import Keys, Signing

METHODS = ("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "RSA-SHA1", "RSA-SHA256", "RSA-SHA512", "PLAINTEXT")
PLACES = ("header", "query", "body")
LEGS = ("request_token_url", "authorize_url", "access_token_url")


@dataclass(frozen=True, slots=True)
class OAuth1Scheme:
    """Signs each request anew, with the client's secret or key, and with a token's secret where there is one."""

    signing: Signing = field(repr=False)

    NAME: ClassVar[str] = "oauth1"
    LABEL: ClassVar[str] = "Integrator: OAuth 1.0"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("consumer_key", "Consumer key", "The client's name, which the system gave"),
        Field("consumer_secret", "Consumer secret", "The client's secret; needed unless it signs with RSA", secret=True, required=False),
        Field("token", "Token", "Access token; left out: one-legged, or a person allows it by authorize_url", secret=True, required=False),
        Field("token_secret", "Token secret", "The access token's secret; empty if the system gives none", secret=True, required=False),
        Field(
            "signature_method", "Signature method", "How it signs; PLAINTEXT over https only",
            required=False, choices=METHODS, default="HMAC-SHA256",
        ),
        Field("private_key", "Private key", "RSA key in PEM form, for the RSA methods", secret=True, required=False, lines=True),
        Field("realm", "Realm", "Told in the header, and not signed; NetSuite wants its account's ID", required=False),
        Field("place", "Place", "Where the signature stands: header, query, or the body of a form", required=False, choices=PLACES, default="header"),
        Field("body_hash", "Body hash", "Whether bodies that are no forms are signed by their hash", required=False, default=False),
        Field("include_version", "Tell version", "Whether oauth_version is told", required=False, default=True),
        Field("request_token_url", "Request token URL", "Three-legged: where a person's consent begins", required=False, where=True),
        Field("authorize_url", "Authorize URL", "Three-legged: the page on which a person consents", required=False, where=True),
        Field("access_token_url", "Access token URL", "Three-legged: where the access token is given", required=False, where=True),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> OAuth1Scheme:
        """Make it: three-legged where there is a page to consent on and no token yet."""
        from integrator.auth.oauth1_signing import Signing

        text = {name: str(value) for name, value in given.items()}
        place = one_of("place", text.get("place") or "header", PLACES)
        method = one_of("signature_method", text.get("signature_method") or "HMAC-SHA256", METHODS)
        if method == "PLAINTEXT" and place == "query":
            raise ValueError("place query would write the secrets into access logs with signature_method PLAINTEXT")
        with_body_hash = is_on(given.get("body_hash", False))
        if with_body_hash and method == "PLAINTEXT":
            raise ValueError("body_hash is of no use with signature_method PLAINTEXT, which signs nothing")
        if not text["consumer_key"]:
            raise ValueError("consumer_key is empty")
        signing = Signing(
            text["consumer_key"], method, place, _realm(text.get("realm", "")), _keys(method, text), text.get("token", ""),
            with_body_hash=with_body_hash, with_version=is_on(given.get("include_version", True)),
        )  # fmt: skip
        legs = {name: text.get(name, "").strip() for name in LEGS}
        if any(legs.values()) and not signing.token:
            return ThreeLeggedOAuth1(
                signing, **_checked(legs, plain=is_on(given.get("plain_http", False))), settings=_settings(given)
            )
        return OAuth1Scheme(signing)

    @property
    def needs_body(self) -> bool:
        """Tell whether a body has to be at hand whole."""
        return self.signing.with_body_hash

    def sign(self, request: Request) -> Request:
        """Return the request signed."""
        return self.signing.signed(request)

    def derived(self) -> list[str]:
        """Return the secrets as the signature holds them: encoded, and joined."""
        keys = self.signing.keys
        parts = [quote(one, safe="") for one in (keys.client_secret, keys.resource_owner_secret, self.signing.token)]
        joined = [f"{parts[0]}&{parts[1]}", f"{parts[0]}%26{parts[1]}"] if parts[0] else []
        return [one for one in (*parts, *joined) if one]


@dataclass(frozen=True, slots=True)
class ThreeLeggedOAuth1(OAuth1Scheme):
    """Signs with a token that a person has allowed, and that is kept: no program can get another one."""

    request_token_url: str
    authorize_url: str
    access_token_url: str
    settings: str = field(repr=False)
    """Hash of all fields, by which a token tells with which of them it was last taken for good."""

    KEEPS: ClassVar[bool] = True
    must_last: ClassVar[bool] = True
    consents: ClassVar[bool] = True

    def reaches(self) -> tuple[str, str]:
        """Return where tokens are given. The page of consent is for a person's browser only."""
        return self.request_token_url, self.access_token_url

    async def earn(self, call: Call, before: Token | None) -> Token:
        """Return the kept token once more where only the settings around it have changed.

        Raises:
            SignInAgainError: otherwise; a person has to consent. The kept token stays, since a clock that is wrong is refused too.
        """
        if before is not None and before.more.get("settings") != self.settings:
            return Token(before.value, time.time(), more={**before.more, "settings": self.settings})
        why = "nobody has allowed this client yet" if before is None else "the system takes the kept token no more"
        raise SignInAgainError(f"{why}, and only a person can change that; {AUTHORIZE}")

    def present(self, request: Request, token: Token) -> Request:
        """Return the request signed with the kept token."""
        return self.signing.for_token(token.value, token.more.get("token_secret", "")).signed(request)

    async def leave(self, call: Call, token: Token) -> None:
        """Do nothing: the token is kept."""

    async def temporary(self, call: Call, callback: str) -> tuple[str, str, str]:
        """Begin a consent; returns a temporary token, its secret, and the page to send a person to."""
        from integrator.auth.oauth1_dance import temporary

        return await temporary(self.signing, self.request_token_url, self.authorize_url, call, callback)

    async def exchange(self, call: Call, token: str, secret: str, verifier: str) -> Token:
        """Return the access token for a temporary one that a person has consented to."""
        from integrator.auth.oauth1_dance import exchange

        made = await exchange(self.signing.for_token(token, secret), self.access_token_url, call, verifier)
        return Token(made.value, made.earned_at, more={**made.more, "settings": self.settings})


def _keys(method: str, text: Mapping[str, str]) -> Keys:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from integrator.auth.oauth1_signing import Keys
    from integrator.auth.private_keys import read_private_key

    is_rsa = method.startswith("RSA-")
    if is_rsa and not text.get("private_key"):
        raise ValueError(f"private_key is missing, with which {method} signs")
    if not is_rsa and not text.get("consumer_secret"):
        raise ValueError(f"consumer_secret is missing, with which {method} signs")
    if not is_rsa and text.get("token") and "token_secret" not in text:
        raise ValueError("token_secret is missing beside token; write an empty one if the system gives none")
    if text.get("token_secret") and not text.get("token"):
        raise ValueError("token is missing beside token_secret")
    key = read_private_key("private_key", text["private_key"]) if is_rsa else None
    if key is not None and not isinstance(key, RSAPrivateKey):
        raise ValueError("private_key is of another kind than RSA")
    return Keys(text.get("consumer_secret", ""), text.get("token_secret", ""), key)


def _checked(legs: Mapping[str, str], *, plain: bool) -> Mapping[str, str]:
    for name, url in legs.items():
        if not url:
            raise ValueError(f"{name} is missing: three-legged needs {', '.join(LEGS)}; or give token and token_secret")
        if not url.startswith(("https://", "http://")) or any(ord(sign) < 33 or ord(sign) == 127 for sign in url):
            raise ValueError(f"{name} is a whole URL, such as https://shop.example.com/oauth/token")
        if url.startswith("http://") and not plain:
            raise ValueError(f"{name} is http, by which whoever listens can take the token; use https")
    return legs


def _settings(given: Mapping[str, Any]) -> str:
    return sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()


def _realm(realm: str) -> str:
    if not header_safe("realm", realm).isascii() or '"' in realm or "\\" in realm:
        raise ValueError("realm holds plain ASCII without quotes and backslashes")
    return realm
