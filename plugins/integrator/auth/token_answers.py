"""What a token endpoint's answer says, and in words why it refuses. Source: RFC 6749, 5.1 and 5.2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from integrator.errors import MappingError, SignInAgainError, UnavailableError
from integrator.model.tokens import Token
from integrator.wire.headers import header_safe
from integrator.wire.message import Answer

LONGEST_S = 10 * 366 * 86_400
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z", re.ASCII)
_PASSING = {"temporarily_unavailable", "server_error", "slow_down", "authorization_pending"}
_REFUSED = {
    "invalid_client": "the token URL does not accept the client: check client_id, client_secret and client_auth",
    "invalid_grant": "what was given for a token is not valid, or not valid any more; somebody has to sign in anew (invalid_grant)",
    "invalid_scope": "a scope is not known there, or not allowed for this client: check scope",
    "unauthorized_client": "this client may not use this grant: check grant, or the client's settings over there",
    "unsupported_grant_type": "the token URL does not know this grant: check grant and token_url",
    "invalid_request": "the token URL finds something missing or wrong in the request: check client_auth, scope and token_params",
    "access_denied": "access was denied to this client or person",
}
_OTHER_KINDS = {"mac", "dpop", "pop"}


def token_of(
    answer: Answer, before: Token | None, *, lasts_s: float | None = None, base_url_from: Callable[[Any], Any] | None = None
) -> Token:
    """Return the token of an answer; what it does not say of renewing is as before.

    Args:
        lasts_s: how long it is good for where the answer does not say so.
        base_url_from: reads the member that names the system's base URL; None for none.

    Raises:
        SignInAgainError: it refuses, or makes no sense.
        UnavailableError: it may give one later.
    """
    made = _decoded(answer)
    if not 200 <= answer.status < 300 or not isinstance(made, dict) or "error" in made:
        raise refusal(answer, made)
    value = made.get("access_token")
    if not isinstance(value, str) or not value:
        raise SignInAgainError("the token URL's answer holds no access_token; is it the right URL?")
    _refuse_control("access_token", value)
    if str(made.get("token_type") or "").lower() in _OTHER_KINDS:
        raise SignInAgainError("the token URL gives tokens of a kind that is more than a bearer token, which is not supported")
    now = time.time()
    lasts = seconds(made.get("expires_in")) or lasts_s
    refresh, scope = made.get("refresh_token"), made.get("scope")
    try:
        base_url = base_url_from(made) if base_url_from is not None else None
    except MappingError:
        base_url = None
    if base_url_from is not None and not isinstance(base_url, str):
        raise SignInAgainError("the token URL's answer holds no base URL where base_url_from says it stands")
    return Token(
        value,
        now,
        None if lasts is None else now + lasts,
        refresh if isinstance(refresh, str) and refresh else None if before is None else before.refresh,
        base_url if isinstance(base_url, str) else None,
        " ".join(map(str, scope)) if isinstance(scope, list) else scope if isinstance(scope, str) else None,
        {} if before is None else before.more,
    )


def refusal(answer: Answer, made: Any) -> SignInAgainError | UnavailableError:
    """Return in words why there is no token; nothing of the answer's own text but a code of plain letters goes into it."""
    code = str(made.get("error") or "") if isinstance(made, dict) else ""
    status = answer.status
    if code in _PASSING or (status >= 500 and code not in _REFUSED):
        return UnavailableError(
            f"the token URL cannot give a token now ({code if _CODE.match(code) else status})", http_status=status
        )
    if code in _REFUSED:
        return SignInAgainError(_REFUSED[code], lasting=code == "invalid_grant")
    if 300 <= status < 400:
        return SignInAgainError("the token URL redirects, and a secret is not sent on: put the final URL into token_url")
    if status in (404, 405):
        return SignInAgainError(f"there is no token to be had at the token URL ({status}): check token_url")
    if 200 <= status < 300:
        return SignInAgainError("the token URL's answer is not what a token URL answers: check token_url")
    return SignInAgainError(f"the token URL refuses ({code if _CODE.match(code) else status}): check the credential's fields")


def _decoded(answer: Answer) -> Any:
    if "form-urlencoded" in answer.headers.get("Content-Type", ""):
        return dict(parse_qsl(answer.body.decode("utf-8", "replace")))
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def seconds(value: Any) -> float | None:
    """Return for how long a token is good; what cannot be read, or cannot be true, was not said."""
    try:
        found = float(value) if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return min(found, LONGEST_S) if found > 0 else None


def lasting_s(name: str, value: Any) -> float | None:
    """Read a field that holds a number of seconds; None where nothing is said. Raises ValueError for what is none."""
    if value in (None, ""):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = 0.0
    if not 1 <= found <= 366 * 86_400:
        raise ValueError(f"{name} is a number of seconds, 1 or more")
    return found


def _refuse_control(name: str, value: str) -> None:
    try:
        header_safe(name, value)
        value.encode("latin-1")
    except ValueError:
        raise SignInAgainError(f"the token URL's {name} cannot stand in a header") from None
