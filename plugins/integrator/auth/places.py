"""Where a credential's secrets may go, as far as it says so itself: what an administrator of its project has to have seen once."""

from __future__ import annotations

import re

from integrator.auth.presenting import suffixes_of
from integrator.auth.scheme import COMMON, scheme_of
from integrator.model.credential import Credential
from integrator.registry import find
from integrator.wire.egress import origin

_URL = re.compile(r"https?:[\\/]*[^\s\"'<>,]+", re.IGNORECASE)
_PEM = ("ca_certificate",)
"""Fields that say whom to trust, and not where."""


def places_of(credential: Credential) -> frozenset[str]:
    """Return each origin that it names, and each domain in which an answer's base URL may lie.

    An origin is told with its port: another port of a host may be another one's program.

    Raises:
        ConfigError: the credential cannot be used.
    """
    reaches = getattr(scheme_of(credential), "reaches", None)
    urls = [credential.base_url, *(reaches() if reaches else ())]
    for field in (*find("scheme", credential.scheme).FIELDS, *COMMON):
        if field.where and field.name not in _PEM:
            urls += _URL.findall(str(credential.extra.get(field.name) or ""))  # also a page that a person is sent to
    return frozenset({*(place_of(url) for url in urls if url), *(f"*.{one}" for one in suffixes_of(credential))})


def place_of(url: str) -> str:
    """Return a URL's origin as text; what is none stands for itself, so that it is like no other."""
    try:
        scheme, host, port = origin(url)
    except ValueError:
        return url
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" if host else url
