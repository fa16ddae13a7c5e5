"""Signs requests as OAuth 1.0 asks. Source: RFC 5849, sections 3.1 to 3.6; body hash: draft-eaton-oauth-bodyhash-00.

oauthlib does the base string and the signature. Its `Client` is not used: that one refuses a content type with a charset,
a query with brackets and a binary body, cannot leave out the version, and logs what it signs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from oauthlib.oauth1.rfc5849 import signature

from integrator.auth import quiet_loggers as _quiet  # noqa: F401 - imported for what it does
from integrator.errors import ConfigError
from integrator.wire.headers import replaced, value_of, without
from integrator.wire.message import Request

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Parameters = Sequence[tuple[str, str]]

FORM = "application/x-www-form-urlencoded"
PLAINTEXT = "PLAINTEXT"
_OWN = frozenset(
    f"oauth_{name}"
    for name in ("body_hash", "consumer_key", "nonce", "signature", "signature_method", "timestamp", "token", "version")
)
_SIGN: dict[str, Callable[[str, Any], str]] = {
    "HMAC-SHA1": signature.sign_hmac_sha1_with_client,
    "HMAC-SHA256": signature.sign_hmac_sha256_with_client,
    "HMAC-SHA512": signature.sign_hmac_sha512_with_client,
    "RSA-SHA1": signature.sign_rsa_sha1_with_client,
    "RSA-SHA256": signature.sign_rsa_sha256_with_client,
    "RSA-SHA512": signature.sign_rsa_sha512_with_client,
    PLAINTEXT: signature.sign_plaintext_with_client,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    """What is signed with, under the names by which oauthlib asks for it; it takes the RSA key as parsed as we hand it over."""

    client_secret: str = dataclasses.field(repr=False)
    resource_owner_secret: str = dataclasses.field(repr=False)
    rsa_key: RSAPrivateKey | None = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Signing:
    """Signs with one client's keys, and one token's or none.

    Attributes:
        method: HMAC-..., RSA-... or PLAINTEXT.
        place: header, query or body; the body only takes them where it is a form, and the header does otherwise.
        token: the token's public half; empty for none.
        with_body_hash: whether what is not a form is signed by its hash.
        with_version: whether oauth_version is told.
    """

    consumer_key: str
    method: str
    place: str
    realm: str
    keys: Keys = dataclasses.field(repr=False)
    token: str = dataclasses.field(repr=False, default="")
    with_body_hash: bool = False
    with_version: bool = True

    def for_token(self, token: str, secret: str) -> Signing:
        """Return what signs with another token."""
        return dataclasses.replace(self, token=token, keys=dataclasses.replace(self.keys, resource_owner_secret=secret))

    def signed(self, request: Request, more: Parameters = ()) -> Request:
        """Return the request with a fresh nonce, the time, and a signature over them.

        Raises:
            ConfigError: PLAINTEXT without TLS, which would hand the secrets to whoever listens (section 3.4.4).
        """
        if self.method == PLAINTEXT and not request.url.startswith("https://"):
            raise ConfigError("signature_method PLAINTEXT sends the secrets themselves, so it needs https; take HMAC-SHA256")
        request = _fresh(request)
        kind = content_type(request)
        made = [*self._parameters(request, kind), *more]
        base = "" if self.method == PLAINTEXT else base_string(request, made)
        made.append(("oauth_signature", _SIGN[self.method](base, self.keys)))
        return _placed(request, made, self.place if self.place != "body" or _takes_form(request, kind) else "header", self.realm)

    def _parameters(self, request: Request, kind: str) -> list[tuple[str, str]]:
        # oauthlib's own servers take nonces of 20 to 30 letters and digits
        made = [
            ("oauth_consumer_key", self.consumer_key),
            ("oauth_nonce", secrets.token_hex(12)),
            ("oauth_signature_method", self.method),
            ("oauth_timestamp", str(int(time.time()))),
        ]
        if self.with_version:
            made.append(("oauth_version", "1.0"))
        if self.token:
            made.append(("oauth_token", self.token))
        if self.with_body_hash and kind != FORM and not (self.place == "body" and _takes_form(request, kind)):
            digest = hashlib.new(self.method.rpartition("-")[2], request.body or b"", usedforsecurity=False).digest()
            made.append(("oauth_body_hash", b64encode(digest).decode()))
        return made


def escaped(value: str) -> str:
    """Return a value percent-encoded (section 3.6); bytes that are no UTF-8 stay the bytes that they are."""
    return quote(value, safe="", errors="surrogateescape")


def normalized(parameters: Parameters) -> str:
    """Return parameters in the one order and form that both sides sign (section 3.4.1.3.2)."""
    pairs = sorted((escaped(name), escaped(value)) for name, value in parameters)  # `=` has no say in the order
    return "&".join(f"{name}={value}" for name, value in pairs)


def base_string(request: Request, parameters: Parameters) -> str:
    """Return what is signed: method, address, and all parameters of query, form and protocol (section 3.4.1.1)."""
    found = [*parameters, *_pairs(urlsplit(request.url).query)]
    if content_type(request) == FORM and request.body:
        found += _pairs(request.body.decode("utf-8", "surrogateescape"))
    method: Any = request.method.upper()
    return signature.signature_base_string(method, signature.base_string_uri(request.url), normalized(found))


def content_type(request: Request) -> str:
    """Return the content type without what follows it, in lower case; empty where there is none."""
    return value_of(request.headers, "Content-Type").partition(";")[0].strip().lower()


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")


def _fresh(request: Request) -> Request:
    """Return the request without the parameters of an earlier signature: some systems echo them in links to the next page."""
    url, body = request.url.partition("#")[0], request.body
    if "oauth_" in url:
        address, _sign, query = url.partition("?")
        kept = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] not in _OWN)
        url = f"{address}?{kept}" if kept else address
    if body and b"oauth_" in body and content_type(request) == FORM:
        body = b"&".join(pair for pair in body.split(b"&") if pair.partition(b"=")[0].decode("latin-1") not in _OWN)
    return msgspec.structs.replace(request, url=url, headers=without(request.headers, "authorization"), body=body)


def _takes_form(request: Request, kind: str) -> bool:
    """Tell whether the protocol's parameters may stand in the body (section 3.5.2)."""
    return kind == FORM or (not request.body and request.method.upper() in ("POST", "PUT", "PATCH"))


def _placed(request: Request, parameters: Parameters, place: str, realm: str) -> Request:
    """Return the request with the protocol's parameters in their place, and nothing else of it changed (section 3.5)."""
    if place == "header":
        parts = ", ".join(f'{name}="{escaped(value)}"' for name, value in parameters)
        header = f'OAuth realm="{realm}", {parts}' if realm else f"OAuth {parts}"
        return msgspec.structs.replace(request, headers={**request.headers, "Authorization": header})
    text = "&".join(f"{name}={escaped(value)}" for name, value in parameters)
    if place == "query":
        sign = "" if request.url.endswith(("?", "&")) else "&" if "?" in request.url else "?"
        return msgspec.structs.replace(request, url=f"{request.url}{sign}{text}")
    body = b"&".join(part for part in (request.body or b"", text.encode()) if part)
    headers = dict(request.headers)
    if content_type(request) != FORM:
        headers = replaced(headers, {"Content-Type": FORM})
    return msgspec.structs.replace(request, headers=headers, body=body)
