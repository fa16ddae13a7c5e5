"""TLS 1.2 or newer, verified, with a credential's own authorities and client certificate; and what went wrong, in words."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_LINE = 64  # characters of a PEM line


def pem(name: str, text: str) -> str:
    """Return PEM blocks with their line breaks, which a form's single line or an environment variable may have swallowed.

    Raises:
        ValueError: there is no PEM block in it.
    """
    text = text.replace("\\r", "").replace("\\n", "\n")
    blocks = []
    for kind, content in _blocks(text):
        headers, _, body = content.strip().rpartition("\n\n")  # an encrypted key of the old form says so in headers
        packed = re.sub(r"\s+", "", body)
        if not re.fullmatch(r"[A-Za-z0-9+/=]+", packed):
            raise ValueError(f"{name} is not in PEM form: between BEGIN and END stands what is not base64")
        lines = [packed[at : at + _LINE] for at in range(0, len(packed), _LINE)]
        blocks.append(
            "\n".join([f"-----BEGIN {kind}-----", *([headers, ""] if headers else []), *lines, f"-----END {kind}-----", ""])
        )
    if not blocks:
        raise ValueError(f"{name} is not in PEM form: it begins with -----BEGIN and ends with -----END ...-----")
    return "".join(blocks)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and content of each block, up to one that has no end."""
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        end = f"-----END {begin[1]}-----"
        at = text.find(end, begin.end())
        if at < 0:
            return
        yield begin[1], text[begin.end() : at]
        at += len(end)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a credential trusts, and how it proves itself to the other side.

    Attributes:
        ca: certificates in PEM form that are trusted instead of the public authorities; a server's own may be one.
        certificate: our client certificate in PEM form, with its chain.
        key: its private key in PEM form; empty when it stands beside the certificate.
        key_password: what the key is encrypted with.
    """

    ca: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)

    def context(self) -> ssl.SSLContext:
        """Return a context: verified, 1.2 or newer.

        Raises:
            ValueError: a certificate or key cannot be used; the message names the field.
        """
        return _public() if self == NO_TRUST else _own(self)


NO_TRUST = Trust()
"""The public authorities, and no certificate of ours."""


@lru_cache(maxsize=1)
def _public() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@lru_cache(maxsize=32)
def _own(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=trust.ca or None)
    except ssl.SSLError:
        raise ValueError("ca_certificate holds no certificate that can be read") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate may be what is trusted
    if trust.certificate:
        _load_certificate(context, trust)
    return context


def _load_certificate(context: ssl.SSLContext, trust: Trust) -> None:
    # Python loads a private key from a file only; this one has no name and lies in memory.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
        os.write(descriptor, (trust.certificate + "\n" + trust.key).encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: trust.key_password)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise ValueError("client_private_key is not the key of client_certificate") from None
        raise ValueError(
            "client_certificate and client_private_key cannot be used; is the key in PEM form, and client_private_key_password the one it was encrypted with?"
        ) from None
    finally:
        os.close(descriptor)


_REASONS = {  # OpenSSL's X509_V_ERR_...
    9: "the server's certificate is not valid yet: is this machine's clock right?",
    10: "the server's certificate has expired",
    18: "the server's certificate is signed by itself; put it into ca_certificate if you know it to be the right one",
    19: "the server's certificate is issued by an authority that is not known here; put the authority's certificate into ca_certificate",
    20: "the server's certificate is issued by an authority that is not known here; put the authority's certificate into ca_certificate",
    62: "the server's certificate is for another host; is the base URL's host the one in the certificate?",
    64: "the server's certificate is for another address; use the host name that stands in it",
}
_ALERTS = (
    (("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"), "the server ends the TLS handshake; does it ask for a client certificate, or speak nothing newer than TLS 1.1?"),
    (("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "ACCESS_DENIED"), "the server does not accept the client certificate; was it issued by an authority that it trusts, and is it still valid?"),
)  # fmt: skip


def why_not_trusted(error: BaseException) -> str:
    """Return in words why there is no TLS connection; nothing of the error's own text goes into it."""
    for one in _chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return _REASONS.get(one.verify_code, "the server's certificate does not hold for this host")
    return alert_in(error) or "no TLS 1.2 connection with this server; does it speak TLS there, and nothing older?"


def alert_in(error: BaseException) -> str | None:
    """Return in words what a server's TLS alert says of our certificate, or None where there is no such alert."""
    for one in _chain(error):
        reason = str(getattr(one, "reason", None) or one.args[-1:]).upper()
        for parts, words in _ALERTS:
            if any(part in reason for part in parts):
                return words
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it."""
    found: BaseException | None = error
    for _depth in range(10):
        if found is None:
            return
        yield found
        found = (
            getattr(found, "certificate_error", None) or getattr(found, "os_error", None) or found.__cause__ or found.__context__
        )
