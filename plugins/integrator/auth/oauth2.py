"""Access tokens from a token URL. Source: RFC 6749, RFC 7636 (PKCE), RFC 7523 (JWT bearer, private_key_jwt)."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, quote_plus, urlencode

import msgspec

from integrator.auth.assertions import ALGORITHMS, CLIENT_ASSERTION, Assertion
from integrator.auth.scheme import AUTHORIZE, Call, Field, one_of
from integrator.auth.token_answers import lasting_s, token_of
from integrator.errors import SignInAgainError
from integrator.mapping.compile import compile_expression
from integrator.model.credential import is_on
from integrator.model.tokens import Token
from integrator.wire.headers import header_name, header_safe, replaced
from integrator.wire.message import Request

GRANTS = ("client_credentials", "refresh_token", "authorization_code", "password", "jwt_bearer")
CLIENT_AUTHS = ("basic", "post", "private_key_jwt", "none")
OURS = ("response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method")
"""Parameters of the page of consent that nothing may replace: they tell for whom the code is, and where it goes."""
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NEEDS = {
    "client_credentials": ("client_id",),
    "refresh_token": ("refresh_token",),
    "authorization_code": ("client_id", "authorize_url"),
    "password": ("username", "password"),
    "jwt_bearer": ("private_key",),
}


@dataclass(frozen=True, slots=True)
class OAuth2Scheme:
    """Earns an access token by one of five grants, renews it where it can, and presents it in a header."""

    grant: str
    token_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    client_auth: str
    form: Mapping[str, str] = field(repr=False)
    header: str
    prefix: str
    lasts_s: float | None
    base_url_from: Callable[[Any], Any] | None
    given_refresh: str = field(repr=False)
    assertion: Assertion | None
    authorize_url: str
    authorize_params: Mapping[str, str] = field(repr=False)

    NAME: ClassVar[str] = "oauth2"
    LABEL: ClassVar[str] = "Integrator: OAuth 2"
    KEEPS: ClassVar[bool] = True
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("grant", "Grant", "How a token is earned", required=False, choices=GRANTS, default="client_credentials"),
        Field("token_url", "Token URL", "Where tokens are given: a URL, or a path below the base URL", where=True),
        Field("client_id", "Client ID", "Who we are over there", required=False),
        Field("client_secret", "Client secret", "The client's secret", secret=True, required=False),
        Field(
            "client_auth", "Client authentication",
            "How the client proves itself: basic, post, private_key_jwt, or none; left out: basic with a client secret, else none",
            required=False, choices=("", *CLIENT_AUTHS),
        ),
        Field("scope", "Scope", "What is asked for, with blanks between", required=False),
        Field("username", "User name", "For grant password", required=False),
        Field("password", "Password", "For grant password", secret=True, required=False),
        Field("refresh_token", "Refresh token", "For grant refresh_token: the first one; later ones are kept encrypted", secret=True, required=False),
        Field("authorize_url", "Authorize URL", "For grant authorization_code: where a person signs in", required=False, where=True),
        Field("authorize_params", "Authorize parameters", "Further parameters there, such as access_type=offline", required=False, lines=True),
        Field("private_key", "Private key", "RSA or EC key in PEM form, for jwt_bearer and private_key_jwt", secret=True, required=False, lines=True),
        Field("algorithm", "Algorithm", "What it signs with", required=False, choices=ALGORITHMS, default="RS256"),
        Field("key_id", "Key ID", "Name of the key over there (kid)", required=False),
        Field("assertion_issuer", "Assertion issuer", "iss of the assertion; left out: the client ID", required=False),
        Field("assertion_subject", "Assertion subject", "sub of the assertion: the user, for jwt_bearer; left out: the issuer", required=False),
        Field("assertion_audience", "Assertion audience", "aud of the assertion; left out: the token URL", required=False),
        Field("assertion_claims", "Assertion claims", 'Further claims, as a JSON object such as {"scope": ["rest_webservices"]}', required=False, lines=True),
        Field("token_params", "Token parameters", "Further parameters of the token call, such as audience=https://api.example.com", required=False, lines=True),
        Field("header", "Header", "Header that carries the token", required=False, default="Authorization"),
        Field("prefix", "Prefix", "Word before the token; left out: Bearer in Authorization, none elsewhere", required=False),
        Field("lasts_s", "Lasts (s)", "Seconds for which a token is good, where the answer does not say so", required=False),
        Field("base_url_from", "Base URL from", "Member of the token answer that names the system's base URL, such as instance_url", required=False, where=True),
        Field("base_url_suffixes", "Base URL domains", "Domains in which that base URL may lie, with commas", required=False, where=True),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; keys are parsed once."""
        grant = one_of("grant", given.get("grant") or "client_credentials", GRANTS)
        for name in _NEEDS[grant]:
            if not given.get(name) and given.get(name) != "":
                raise ValueError(f"{name} is needed for grant {grant}")
        secret = str(given.get("client_secret") or "")
        auth = one_of("client_auth", given.get("client_auth") or ("basic" if secret else "none"), CLIENT_AUTHS)
        if auth in ("basic", "post") and not (secret and given.get("client_id")):
            raise ValueError(f"client_auth {auth} needs client_id and client_secret")
        client_id, token_url = str(given.get("client_id") or ""), _url("token_url", str(given["token_url"]).strip(), "/")
        issuer = str(given.get("assertion_issuer") or client_id)
        claims = {
            "iss": issuer,
            "sub": str(given.get("assertion_subject") or issuer),
            "aud": str(given.get("assertion_audience") or token_url),
        }
        signs = grant == "jwt_bearer" or auth == "private_key_jwt"
        header = header_name("header", str(given.get("header") or "Authorization"))
        prefix = given.get("prefix")
        form = {name: str(given[name]) for name in ("scope", "username", "password") if given.get(name)}
        form |= _pairs("token_params", given.get("token_params"))
        asked = _pairs("authorize_params", given.get("authorize_params"))
        for name in OURS:
            if name in asked:
                raise ValueError(f"authorize_params: {name} is not for it to say")
        return cls(
            grant, token_url, client_id, secret, auth, form, header,
            header_safe("prefix", str(prefix)) if prefix is not None else "Bearer" if header.lower() == "authorization" else "",
            lasting_s("lasts_s", given.get("lasts_s")), _member("base_url_from", given.get("base_url_from")), str(given.get("refresh_token") or ""),
            Assertion.of(given, claims) if signs else None,
            _page(str(given.get("authorize_url") or "").strip(), is_on(given.get("plain_http"))), asked,
        )  # fmt: skip

    @property
    def must_last(self) -> bool:
        """Whether a token that is lost means that a person must sign in again."""
        return self.grant in ("refresh_token", "authorization_code")

    @property
    def consents(self) -> bool:
        """Whether a person has to sign in before the first token."""
        return self.grant == "authorization_code"

    def reaches(self) -> list[str]:
        """Return where tokens are given, where that is not below the base URL."""
        return [] if self.token_url.startswith("/") else [self.token_url]

    def derived(self) -> list[str]:
        """Return the encoded pair of the client, and its secrets as a form carries them, which are as good as they are."""
        encoded = [quote_plus(one) for one in (self.client_secret, self.form.get("password", ""), self.given_refresh) if one]
        return [*encoded, *([self._pair()] if self.client_auth == "basic" else [])]

    def sign(self, request: Request) -> Request:
        """Return the request as it is: without a token there is nothing to sign with."""
        return request

    async def earn(self, call: Call, before: Token | None) -> Token:
        """Return a new token, by the refresh token where there is one that may still work."""
        refresh = self._refresh_of(before)
        if refresh:
            answer = await call(self._request({"grant_type": "refresh_token", "refresh_token": refresh}))
            try:
                return self._noted(token_of(answer, before, lasts_s=self.lasts_s, base_url_from=self.base_url_from), refresh)
            except SignInAgainError:
                if self.must_last:
                    raise
        if self.grant == "authorization_code":
            raise SignInAgainError(f"nobody has signed in yet; {AUTHORIZE}")
        answer = await call(self._request(self._grant_form()))
        return token_of(answer, None, lasts_s=self.lasts_s, base_url_from=self.base_url_from)

    def present(self, request: Request, token: Token) -> Request:
        """Return the request with the token in its header."""
        value = f"{self.prefix} {token.value}" if self.prefix else token.value
        return msgspec.structs.replace(request, headers=replaced(request.headers, {self.header: value}))

    async def leave(self, call: Call, token: Token) -> None:
        """Do nothing: the token is everybody's."""

    def code_request(self, code: str, verifier: str, redirect_url: str) -> Request:
        """Return the call that turns an authorization code into a token. Source: RFC 6749, 4.1.3; RFC 7636, 4.5."""
        made = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_url}
        return self._request(made)

    def _refresh_of(self, before: Token | None) -> str | None:
        """Return the refresh token to use: the one that was given last, unless the one given first was replaced by a person."""
        if self.grant != "refresh_token":
            return before.refresh if before is not None else None
        same = before is not None and before.more.get("given") == _digest(self.given_refresh)
        return before.refresh if before is not None and same and before.refresh else self.given_refresh

    def _noted(self, token: Token, used: str) -> Token:
        more = {**token.more, "given": _digest(self.given_refresh)} if self.grant == "refresh_token" else token.more
        return msgspec.structs.replace(token, refresh=token.refresh or used, more=more)

    def _grant_form(self) -> dict[str, str]:
        if self.grant == "jwt_bearer" and self.assertion is not None:
            return {"grant_type": JWT_BEARER, "assertion": self.assertion.text()}
        return {"grant_type": self.grant}

    def _request(self, form: Mapping[str, str]) -> Request:
        # A lost answer is asked for again with the same token: servers that rotate give the same answer for a while, and
        # there is nothing else that could be tried later.
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        whole = {**self.form, **form}
        if form["grant_type"] != "password":
            whole = {name: value for name, value in whole.items() if name not in ("username", "password")}
        if self.client_auth == "basic":
            headers["Authorization"] = f"Basic {self._pair()}"
        elif self.client_id:
            whole["client_id"] = self.client_id
        if self.client_auth == "post":
            whole["client_secret"] = self.client_secret
        if self.client_auth == "private_key_jwt" and self.assertion is not None:
            whole |= {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": self.assertion.text()}
        return Request("POST", self.token_url, headers, urlencode(whole).encode())

    def _pair(self) -> str:
        # RFC 6749, 2.3.1: both are form-encoded first.
        return b64encode(f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()).decode()


def _url(name: str, text: str, *others: str) -> str:
    """Return a URL; `others` are what it may begin with instead."""
    if text and not text.startswith(("https://", "http://", *others)):
        raise ValueError(
            f"{name} is a URL, such as https://login.example.com/token" + (", or a path that begins with /" if others else "")
        )
    return text


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _page(url: str, plain: bool) -> str:
    """Return the page of consent's URL, which a browser is told to open: no file, script or option of a program."""
    if url and (not url.startswith(("https://", "http://")) or any(ord(sign) < 33 or ord(sign) == 127 for sign in url)):
        raise ValueError("authorize_url is a URL, such as https://login.example.com/authorize")
    if url.startswith("http://") and not plain:
        raise ValueError("authorize_url is http, by which whoever listens can take the code; use https")
    return url


def _member(name: str, text: Any) -> Callable[[Any], Any] | None:
    """Return what reads a member of an answer; None where none is named."""
    if not text:
        return None
    made = compile_expression(str(text), ["_a"], members="_a", named={})
    if made.faults:
        raise ValueError(f"{name}: {made.faults[0].message}")
    return made


def _pairs(name: str, given: Any) -> dict[str, str]:
    """Read parameters: a JSON object, or `a=b&c=d`."""
    if not given:
        return {}
    if isinstance(given, Mapping):
        return {key: str(value) for key, value in given.items()}
    text = str(given).strip()
    try:
        if text.startswith("{"):
            return {str(key): str(value) for key, value in dict(json.loads(text)).items()}
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        raise ValueError(f"{name} holds parameters such as audience=https://api.example.com&x=1, or a JSON object") from None
