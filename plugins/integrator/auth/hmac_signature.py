"""A keyed hash over parts of the request, in headers: for the many systems that each do it in a way of their own. Source: RFC 2104."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import new
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from integrator.auth.scheme import Field, one_of
from integrator.auth.templates import Template
from integrator.errors import StopRunError
from integrator.wire.headers import read_headers, replaced
from integrator.wire.message import Request

NAMES = ("method", "path", "query", "url", "host", "body", "body_hash", "timestamp", "nonce", "key_id")
HEADER_NAMES = (*(name for name in NAMES if name != "body"), "signature")
"""A header may hold all but the body, which may be anything."""
ALGORITHMS = ("sha1", "sha256", "sha512")
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hex": lambda made: made.hex().encode(),
    "base64": b64encode,
    "base64url": lambda made: urlsafe_b64encode(made).rstrip(b"="),
}
KEY_FORMS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": lambda text: b64decode(text, validate=True),
}
TIMES: dict[str, Callable[[float], str]] = {
    "epoch_s": lambda now_s: str(int(now_s)),
    "epoch_ms": lambda now_s: str(int(now_s * 1000)),
    "iso": lambda now_s: datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HmacSignatureScheme:
    """Signs what the `message` template says, and adds the headers that the `headers` template says."""

    key: bytes = field(repr=False)
    algorithm: str
    encoding: str
    timestamp_form: str
    key_id: str
    message: Template = field(repr=False)
    headers: tuple[tuple[str, Template], ...] = field(repr=False)
    used: frozenset[str] = field(repr=False)

    NAME: ClassVar[str] = "hmac_signature"
    LABEL: ClassVar[str] = "Integrator: HMAC signature"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("key_secret", "Key", "The shared key", secret=True),
        Field("key_form", "Key form", "How the key is written", required=False, choices=tuple(KEY_FORMS), default="text"),
        Field("key_id", "Key ID", "The key's name, for {key_id}", required=False),
        Field("algorithm", "Algorithm", "Hash of signature and {body_hash}", required=False, choices=ALGORITHMS, default="sha256"),
        Field("encoding", "Encoding", "How signature and {body_hash} are written", required=False, choices=tuple(ENCODINGS), default="hex"),
        Field(
            "message", "Message", "What is signed: text with " + " ".join(f"{{{name}}}" for name in NAMES) + "; \\n is a line break",
            lines=True,
        ),
        Field("headers", "Headers", "What is sent: one `Name: text` a line, with the same names and {signature}, without {body}", lines=True),
        Field("timestamp_form", "Time's form", "How {timestamp} is written", required=False, choices=tuple(TIMES), default="epoch_s"),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it; the templates are compiled once."""
        chosen = {
            one.name: one_of(one.name, given.get(one.name) or one.default, one.choices) for one in cls.FIELDS if one.choices
        }
        try:
            key = KEY_FORMS[chosen["key_form"]](str(given["key_secret"]))
        except ValueError:
            raise ValueError(f"key_secret is not {chosen['key_form']}") from None
        if not key:
            raise ValueError("key_secret is empty")
        key_id = str(given.get("key_id") or "")
        if not key_id.isascii() or not key_id.isprintable():
            raise ValueError("key_id holds plain ASCII only, since it stands in a header")
        message = Template("message", str(given["message"]), NAMES)
        lines = read_headers("headers", given["headers"])
        headers = tuple((name, Template(f"headers: {name}", text, HEADER_NAMES)) for name, text in lines.items())
        used = frozenset().union(message.names, *(template.names for _name, template in headers))
        if "signature" not in used:
            raise ValueError("headers has no {signature} in it, so nothing would prove anything")
        if "key_id" in used and not key_id:
            raise ValueError("key_id is missing, and a template uses it")
        if not message.names:
            raise ValueError("message names no part of the request, so one signature would do for all")
        return cls(
            key, chosen["algorithm"], chosen["encoding"], chosen["timestamp_form"], key_id, message, headers, used
        )  # fmt: skip

    @property
    def needs_body(self) -> bool:
        """Tell whether a body has to be at hand whole."""
        return not self.used.isdisjoint(("body", "body_hash"))

    def sign(self, request: Request) -> Request:
        """Return the request with the headers; time and nonce are the same in message and headers, and fresh each time.

        Raises:
            StopRunError: the request's own address would break a header in two.
        """
        values = self._values(request)
        values["signature"] = ENCODINGS[self.encoding](hmac.digest(self.key, self.message.filled(values), self.algorithm))
        made = {}
        for name, template in self.headers:
            text = template.filled(values).decode()
            if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
                raise StopRunError(
                    f"hmac_signature: the request's address holds a control character, which header {name} cannot carry"
                )
            made[name] = text
        return msgspec.structs.replace(request, headers=replaced(request.headers, made))

    def _values(self, request: Request) -> dict[str, bytes]:
        url, body = request.url.partition("#")[0], request.body or b""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.port is not None and parts.port == _PORTS.get(parts.scheme):
            host = host.rpartition(":")[0]
        values = {
            "method": request.method.upper(),
            "path": parts.path or "/",
            "query": parts.query,
            "url": url,
            "host": host.lower(),
            "timestamp": TIMES[self.timestamp_form](time.time()),
            "nonce": secrets.token_hex(16),
            "key_id": self.key_id,
        }
        made = {name: value.encode() for name, value in values.items()}
        made["body"] = body
        if "body_hash" in self.used:
            made["body_hash"] = ENCODINGS[self.encoding](new(self.algorithm, body, usedforsecurity=False).digest())
        return made

    def derived(self) -> list[str]:
        """Return the key in the forms in which it might be shown."""
        return [self.key.hex(), b64encode(self.key).decode()]
