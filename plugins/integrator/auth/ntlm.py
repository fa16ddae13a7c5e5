"""NTLM: signs a connection in by a challenge and its answer. NTLMv2 only. Source: MS-NLMP; RFC 4559 for its place in HTTP."""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from integrator.auth.scheme import Field, one_of
from integrator.wire.binding import end_point
from integrator.wire.headers import header_safe
from integrator.wire.message import Request

WORDS = ("NTLM", "Negotiate")
CONNECTIONS = 16
CONNECTIONS_MAX = 256
_V1_ANSWER = 24  # bytes of an NTLMv1 answer; NTLMv2's are longer
_AUTHENTICATE = struct.Struct("<8sIHHIHHI")  # signature, type, LM answer's length twice and offset, NT answer's likewise


def _says_no_messages(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


# At level DEBUG the library writes each message, and with the answer to a challenge a password can be guessed offline.
logging.getLogger("spnego._ntlm").addFilter(_says_no_messages)


@dataclass(frozen=True, slots=True)
class NtlmScheme:
    """Signs connections in with a Windows account; requests on them carry nothing."""

    username: str
    password: str = field(repr=False)
    word: str = WORDS[0]
    connections: int = CONNECTIONS

    NAME: ClassVar[str] = "ntlm"
    LABEL: ClassVar[str] = "Integrator: NTLM (Windows account)"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("username", "User name", "Windows account, as `DOMAIN\\user` or `user@domain.example`"),
        Field("password", "Password", "Its password", secret=True),
        Field("domain", "Domain", "Domain, where it does not stand in the user name", required=False),
        Field(
            "word", "Word", "What the server offers in WWW-Authenticate: NTLM or Negotiate", required=False, choices=WORDS, default="NTLM",
        ),
        Field(
            "connections", "Connections", f"Most connections at once, each of which is signed in by itself; {CONNECTIONS} if left out",
            required=False,
        ),
    )  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Make it."""
        username, domain = str(given["username"]).strip(), str(given.get("domain") or "").strip()
        for name, value in (("username", username), ("domain", domain), ("password", str(given["password"]))):
            header_safe(name, value)
        if not username or username.endswith("\\"):
            raise ValueError("username is empty")
        if not str(given["password"]):
            raise ValueError("password is empty")
        if domain and ("\\" in username or "@" in username):
            raise ValueError("username already names a domain; leave domain out")
        if "\\" in domain or username.count("\\") > 1:
            raise ValueError("username is DOMAIN\\user with one backslash (in JSON it is written twice)")
        word = one_of("word", given.get("word") or WORDS[0], WORDS)
        text = str(given.get("connections", "")).strip() or str(CONNECTIONS)
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= CONNECTIONS_MAX:
            raise ValueError(f"connections is a whole number from 1 to {CONNECTIONS_MAX}")
        return cls(f"{domain}\\{username}" if domain else username, str(given["password"]), word, int(text))

    def sign(self, request: Request) -> Request:
        """Return the request as it is: its connection is signed in."""
        return request

    def handshake(self, host: str) -> NtlmHandshake:
        """Begin to sign a connection to a host in.

        Raises:
            ValueError: this environment does not let NTLM begin.
        """
        return NtlmHandshake(self.username, self.password, host)


class NtlmHandshake:
    """One connection's sign-in: a hello, and the answer to a challenge."""

    def __init__(self, username: str, password: str, host: str) -> None:
        import spnego

        try:
            # Python's own implementation everywhere, so that what is sent does not depend on the machine's libraries.
            self._context = spnego.client(
                username, password, hostname=host, service="HTTP", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm
            )
        except (spnego.exceptions.SpnegoError, ValueError):
            raise ValueError("NTLM cannot begin; is LM_COMPAT_LEVEL set in this environment? Remove it") from None

    @property
    def complete(self) -> bool:
        """Whether the answer to the challenge is made."""
        return self._context.complete

    def step(self, challenge: bytes | None, certificate: bytes | None) -> bytes:
        """Return the hello, or the answer to the challenge.

        Raises:
            ValueError: the challenge makes no sense, or would be answered by something weaker than NTLMv2.
        """
        from spnego.channel_bindings import GssChannelBindings

        binding = end_point(certificate) if certificate is not None else None
        bindings = GssChannelBindings(application_data=binding) if binding is not None else None
        try:
            said = self._context.step(challenge, channel_bindings=bindings) or b""
        except Exception:  # noqa: BLE001 - a stranger's bytes in a parser that raises whatever comes up
            raise ValueError("the server's NTLM challenge makes no sense") from None
        if challenge is not None and not is_version_2(said):
            raise ValueError(
                "NTLMv1 would be answered here, which is not done; is LM_COMPAT_LEVEL set in this environment? Remove it"
            )
        return said


def is_version_2(message: bytes) -> bool:
    """Tell whether an answer to a challenge is NTLMv2's. Source: MS-NLMP sections 2.2.1.3 and 2.2.2.8."""
    if len(message) < _AUTHENTICATE.size:
        return False
    signature, kind, _lm, _lm_max, _lm_at, length, _length_max, at = _AUTHENTICATE.unpack_from(message)
    answer = message[at : at + length]
    return signature == b"NTLMSSP\0" and kind == 3 and len(answer) > _V1_ANSWER and answer[16:18] == b"\x01\x01"


__all__ = ["NtlmHandshake", "NtlmScheme", "is_version_2"]
