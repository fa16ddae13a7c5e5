"""Loggers of other people's code that would write secrets at DEBUG, made to write nothing below WARNING.

A filter rather than a level: whoever configures logging sets levels and `disabled` anew and leaves filters alone. A filter
holds for the very logger that it is added to and not for its children, so each of them is named.
"""

from __future__ import annotations

import logging

TELLTALES = (
    "botocore.auth",  # the canonical request, with the session token in it
    "oauthlib.oauth1.rfc5849",  # the signature base string, and the signature
    "oauthlib.oauth1.rfc5849.signature",
    "urllib3.connectionpool",  # each request's path and query, where a signature or key may stand
)


def _is_loud(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def quieten() -> None:
    """Make them quiet; doing so again changes nothing."""
    for name in TELLTALES:
        logging.getLogger(name).addFilter(_is_loud)


quieten()
