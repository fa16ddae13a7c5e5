"""Amazon's Signature Version 4, for its services and for whoever speaks it, such as S3-compatible stores. botocore signs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

from integrator.auth import quiet_loggers as _quiet  # noqa: F401 - imported for what it does
from integrator.auth.scheme import Field
from integrator.wire.headers import header_safe, replaced
from integrator.wire.message import Request

SIGNED = re.compile(r"content-type|content-md5|range|x-amz-.*", re.IGNORECASE)
"""Headers of a request that are signed beside the host; what a proxy on the way may change is not."""
_WORD = re.compile(r"[A-Za-z0-9._-]+")


class _Unsigned:
    """As much of a request as botocore looks at; its own class takes ten times as long to make."""

    def __init__(self, request: Request, url: str, headers: Any) -> None:
        self.method, self.url, self.body, self.headers = request.method, url, request.body, headers
        self.params: dict[str, str] = {}
        self.context: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class AwsSigv4Scheme:
    """Signs method, address, body and the headers that matter. The address is sent in the one form that was signed."""

    signer: Any = field(repr=False)
    headers: Any = field(repr=False)
    """Makes a set of headers as botocore keeps them."""

    NAME: ClassVar[str] = "aws_sigv4"
    LABEL: ClassVar[str] = "Integrator: AWS Signature V4"
    needs_body: ClassVar[bool] = True
    refuses_by: ClassVar[int] = 403
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("access_key_id", "Access key ID", "Such as AKIA..."),
        Field("secret_access_key", "Secret access key", "The key that signs", secret=True),
        Field("session_token", "Session token", "Of temporary keys", secret=True, required=False),
        Field("region", "Region", "Such as eu-central-1"),
        Field("service", "Service", "Such as execute-api (API Gateway), s3, sqs, appsync"),
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it."""
        from botocore.auth import S3SigV4Auth, SigV4Auth
        from botocore.compat import HTTPHeaders
        from botocore.credentials import Credentials

        text = {name: str(given.get(name) or "").strip() for name in ("region", "service", "access_key_id")}
        for name, value in text.items():
            if not _WORD.fullmatch(value):
                raise ValueError(f"{name} is a word, without spaces and slashes")
        secret = header_safe("secret_access_key", str(given["secret_access_key"]))
        token = header_safe("session_token", str(given.get("session_token") or ""))
        if not secret:
            raise ValueError("secret_access_key is empty")
        if not token.isascii():
            raise ValueError("session_token holds other signs than a token's; was it copied whole?")
        kind = S3SigV4Auth if text["service"] in ("s3", "s3-object-lambda", "s3-outposts") else SigV4Auth
        return cls(kind(Credentials(text["access_key_id"], secret, token or None), text["service"], text["region"]), HTTPHeaders)

    def sign(self, request: Request) -> Request:
        """Return the request with the signature on it."""
        url = one_form(request.url)
        chosen = self.headers()
        for name, value in request.headers.items():
            if SIGNED.fullmatch(name):
                chosen[name] = value
        unsigned = _Unsigned(request, url, chosen)
        self.signer.add_auth(unsigned)
        return msgspec.structs.replace(request, url=url, headers=replaced(request.headers, dict(chosen.items())))


def one_form(url: str) -> str:
    """Return a URL with all but unreserved signs encoded, which is the form that is signed: both sides must see one and the same.

    A `+` in the query means a space there, as it does to whoever reads the query; an encoded slash in the path stays one.
    """
    parts = urlsplit(url)
    path = "/".join(_encoded(segment) for segment in parts.path.split("/")) or "/"
    pairs = [pair.partition("=") for pair in parts.query.replace("+", "%20").split("&") if pair]
    query = "&".join(f"{_encoded(name)}{sign}{_encoded(value)}" for name, sign, value in pairs)
    return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{query}" if query else "")


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="")
