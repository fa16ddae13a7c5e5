"""Kinds by name: a table of strings, imported on first use. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from integrator.errors import UnknownKindError

SCHEMES = {
    "none": "integrator.auth.none:NoneScheme",
    "basic": "integrator.auth.basic:BasicScheme",
    "bearer": "integrator.auth.bearer:BearerScheme",
    "api_key": "integrator.auth.api_key:ApiKeyScheme",
    "oauth1": "integrator.auth.oauth1:OAuth1Scheme",
    "oauth2": "integrator.auth.oauth2:OAuth2Scheme",
    "ntlm": "integrator.auth.ntlm:NtlmScheme",
    "session_login": "integrator.auth.session_login:SessionLoginScheme",
    "token_chain": "integrator.auth.token_chain:TokenChainScheme",
    "digest": "integrator.auth.digest:DigestScheme",
    "aws_sigv4": "integrator.auth.aws_sigv4:AwsSigv4Scheme",
    "hmac_signature": "integrator.auth.hmac_signature:HmacSignatureScheme",
}
PAGERS = {
    "single": "integrator.paging.single:SinglePager",
    "page_number": "integrator.paging.page_number:PageNumberPager",
    "offset": "integrator.paging.offset:OffsetPager",
    "cursor": "integrator.paging.cursor:CursorPager",
    "link_header": "integrator.paging.link_header:LinkHeaderPager",
    "next_url": "integrator.paging.next_url:NextUrlPager",
    "odata": "integrator.paging.odata:ODataPager",
}
CONNECTORS = {
    "rest": "integrator.connectors.rest:RestConnector",
    "memory": "integrator.connectors.memory:MemoryConnector",
}
TABLES = {"scheme": SCHEMES, "pager": PAGERS, "connector": CONNECTORS}


def near(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt word: the nearest known one, else all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def find(table: str, kind: str) -> Any:
    """Return the class of a kind.

    Raises:
        UnknownKindError: the table has no such kind; the message says which it has.
    """
    known = TABLES[table]
    if kind not in known:
        raise UnknownKindError(f"no {table} {kind!r}; {near(kind, known)}")
    module, name = known[kind].split(":")
    return getattr(import_module(module), name)
