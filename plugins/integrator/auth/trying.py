"""Tries a credential by a real call, and says in words what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from integrator.auth.presenting import Around, Ready, make_ready
from integrator.errors import IntegratorError, UnavailableError
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.wire.message import Answer, Meter, Request
from integrator.wire.sending import Sender
from integrator.wire.throttle import Throttle

CLOCK_OFF_S = 60
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: whether the sign-in works, as far as the call can tell, and why, in words for people."""

    ok: bool
    words: str


async def try_credential(credential: Credential, around: Around) -> Tried:
    """Make a real call with a credential, signed in to first where no token of it holds, also one that waits for a person.

    A token that this earns is kept like any other, so that trying never costs a refresh token.
    """
    once = replace(around.settings, attempts=1, answer_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S, wait_max_s=TIMEOUT_S)
    try:
        ready = make_ready(credential, replace(around, settings=once, force=True))
    except IntegratorError as fault:
        return Tried(False, _without_name(credential, fault))
    path = "/" + str(credential.extra.get("test_path") or "").lstrip("/")
    sender = Sender(
        credential.conn_id, ready.transport, ready.signer, Throttle(1, 1), Meter(), once, ready.manners, signs_in=True
    )
    try:
        answer, token = await _asked(ready, sender, path)
    except UnavailableError as fault:
        # With TLS 1.3 a server tells only by hanging up that it misses a client certificate.
        hangs_up = fault.http_status is None and "broke off" in str(fault) and ready.egress.base_url.startswith("https:")
        hint = "; where it asks for a client certificate, ours is missing or not accepted" if hangs_up else ""
        return Tried(False, f"{fault}{hint}")
    except IntegratorError as fault:
        return Tried(False, _without_name(credential, fault))
    finally:
        with suppress(IntegratorError):  # what was tried has told more than a failed sign-out could
            await sender.close()
    if ready.manners.says_signed_out(answer):
        tried = Tried(False, f"the system refuses this sign-in ({answer.status}): check user, password, token or key")
    else:
        tried = told(answer, path, getattr(ready.scheme, "refuses_by", 401))
    return _with_notes(tried, answer, ready, token)


async def _asked(ready: Ready, sender: Sender, path: str) -> tuple[Answer, Token | None]:
    """Return the answer, and the token that it was asked with; signs in again once where the first answer asks for it."""
    signed = await ready.signer.sign(Request("GET", ready.egress.at(path), {}))
    answer = await sender.send(Request("GET", ready.egress.at(path), {}))
    if (answer.status == 401 or ready.manners.says_signed_out(answer)) and await ready.signer.again(signed, answer):
        answer = await sender.send(Request("GET", ready.egress.at(path), {}))
        signed = await ready.signer.sign(Request("GET", ready.egress.at(path), {}))
    return answer, signed.token if isinstance(signed.token, Token) else None


def _without_name(credential: Credential, fault: IntegratorError) -> str:
    """Return its words without the credential's name before them: whoever tries one knows which, and a form's has a made-up name."""
    return str(fault).removeprefix("credential ").removeprefix(f"{credential.conn_id}: ")


def told(answer: Answer, path: str, refused: int = 401) -> Tried:
    """Return what an answer means; `refused` is the status that the system has for a wrong secret."""
    status = answer.status
    challenge = answer.headers.get("WWW-Authenticate", "")
    if status == 401:
        return Tried(False, "the system refuses this sign-in (401): check user, password, token or key")
    if status == 403 and "insufficient_scope" in challenge:
        return Tried(False, f"signed in, but the scope that was granted does not reach {path} (403)")
    if status == refused == 403:
        return Tried(
            False, f"the system refuses {path} (403): a wrong key, region or service, a clock that is off, or a missing right"
        )
    if status == 403:
        return Tried(False, f"signed in, but {path} is not allowed (403): check the rights, or set another Test path")
    unproven = "so the sign-in is not proven; set a Test path that needs it"
    if status == 404:
        return Tried(True, f"the system answers, but has nothing at {path} (404), {unproven}")
    if status >= 500:
        return Tried(False, f"the system answers with an error of its own ({status})")
    if 300 <= status < 400:
        return Tried(True, f"the system answers {path} with a redirect ({status}), {unproven}")
    return Tried(True, f"signed in: {path} answers {status}")


def _with_notes(tried: Tried, answer: Answer, ready: Ready, token: Token | None) -> Tried:
    notes = []
    off_s = clock_off_s(answer.headers)
    if abs(off_s) > CLOCK_OFF_S:
        way = "behind" if off_s > 0 else "ahead of"
        notes.append(f"this machine's clock is {_span(abs(off_s))} {way} theirs, which signatures and tokens do not forgive")
    missing = _missing_scopes(ready, token)
    if missing:
        notes.append(f"scope not granted: {', '.join(missing)}")
    return Tried(tried.ok, "; ".join([tried.words, *notes]))


def clock_off_s(headers: Mapping[str, str], now: float | None = None) -> float:
    """Return how many seconds the other side's clock is ahead of ours; 0 where it does not tell the time."""
    try:
        theirs = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return theirs - (time.time() if now is None else now)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def _missing_scopes(ready: Ready, token: Token | None) -> list[str]:
    asked = str(ready.credential.extra.get("scope") or "").split()
    if token is None or token.scope is None:
        return []
    granted = set(token.scope.split())
    return [one for one in asked if one not in granted and one != "offline_access"]
