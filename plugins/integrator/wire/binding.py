"""What binds a sign-in to its TLS connection, so that nobody in between can pass it on. Source: RFC 5929 section 4."""

from __future__ import annotations


def end_point(certificate: bytes) -> bytes | None:
    """Return `tls-server-end-point` of a server's certificate.

    The hash is the one of the certificate's signature, SHA-256 in place of MD5 and SHA-1. None where the signature has no
    single hash (Ed25519), for which the RFC defines no binding.

    Raises:
        ValueError: it is no certificate in DER form.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes

    found = x509.load_der_x509_certificate(certificate)
    try:
        signed_with = found.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if signed_with is None:
        return None
    chosen = hashes.SHA256() if isinstance(signed_with, (hashes.MD5, hashes.SHA1)) else signed_with
    return b"tls-server-end-point:" + found.fingerprint(chosen)
