"""Private keys that requests and statements are signed with, read once: that takes a hundred times as long as signing."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrator.wire.tls import pem


@lru_cache(maxsize=32)
def read_private_key(name: str, text: str) -> RSAPrivateKey | EllipticCurvePrivateKey:
    """Return a private key.

    Args:
        name: the field that holds it, for messages.
        text: PEM, of which a form may have swallowed the line breaks.

    Raises:
        ValueError: it is not an unencrypted RSA or EC key in PEM form.
    """
    blocks = pem(name, text)
    try:
        key = load_pem_private_key(blocks.encode(), None)
    except TypeError:
        raise ValueError(f"{name} is encrypted; give it without a password, since all of extra is encrypted anyway") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{name} is not a private key in PEM form (-----BEGIN PRIVATE KEY-----)") from None
    if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)):
        raise ValueError(f"{name} is neither an RSA nor an EC key")
    return key
