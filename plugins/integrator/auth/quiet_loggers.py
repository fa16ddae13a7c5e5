"""Loggers of other people's code that would write secrets, made to write nothing below WARNING, and no warning with an address.

A filter rather than a level: whoever configures logging sets levels and `disabled` anew and leaves filters alone. A filter
holds for the very logger that it is added to and not for its children, so each of them is named.
"""

from __future__ import annotations

import logging

TELLTALES = (
    "botocore.auth",  # the canonical request, with the session token in it
    "oauthlib.oauth1.rfc5849",  # the signature base string, and the signature
    "oauthlib.oauth1.rfc5849.signature",
    "urllib3.connection",  # the whole address, where a signature or key may stand, of an answer with a broken header
    "urllib3.connectionpool",  # each request's path and query
    "urllib3.util.retry",
)
_WITH_ADDRESS = ("Failed to parse headers", "Retrying")


def _may_be_written(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING and not str(record.msg).startswith(_WITH_ADDRESS)


def quieten() -> None:
    """Make them quiet; doing so again changes nothing."""
    for name in TELLTALES:
        logging.getLogger(name).addFilter(_may_be_written)


quieten()
