"""A person's consent, from a temporary token to one that lasts. Source: RFC 5849, section 2."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, quote

from integrator.auth.oauth1_signing import Signing
from integrator.auth.scheme import Call
from integrator.errors import SignInAgainError
from integrator.model.tokens import Token
from integrator.wire.message import Answer, Request

OUT_OF_BAND = "oob"
"""The callback of a client that nobody can be sent back to: the person copies a code."""


async def temporary(signing: Signing, request_url: str, authorize_url: str, call: Call, callback: str) -> tuple[str, str, str]:
    """Begin a consent (sections 2.1 and 2.2).

    Args:
        callback: where the person's browser is sent afterwards, or `oob`.

    Returns:
        A temporary token, its secret, and the page to send the person to.

    Raises:
        SignInAgainError: the system does not begin.
    """
    answer = await call(signing.signed(Request("POST", request_url, {}), [("oauth_callback", callback)]))
    given = _given(
        answer, "the system does not let a consent begin", "are consumer key, secret and callback those that it knows?"
    )
    if given.get("oauth_callback_confirmed") != "true":
        raise SignInAgainError(
            "the system does not confirm the callback, so it speaks OAuth 1.0 before revision A, by which others could take the token"
        )
    sign = "&" if "?" in authorize_url else "?"
    page = f"{authorize_url}{sign}oauth_token={quote(given['oauth_token'], safe='')}"
    return given["oauth_token"], given["oauth_token_secret"], page


async def exchange(signing: Signing, access_url: str, call: Call, verifier: str) -> Token:
    """Return the access token (section 2.3).

    Args:
        signing: signs with the temporary token.
        verifier: what the person's consent gave.

    Raises:
        SignInAgainError: the system gives none.
    """
    answer = await call(signing.signed(Request("POST", access_url, {}), [("oauth_verifier", verifier)]))
    given = _given(answer, "the system gives no access token", "did the person consent, and is the code copied whole? Begin anew")
    return Token(given["oauth_token"], time.time(), more={"token_secret": given["oauth_token_secret"]})


def _given(answer: Answer, what: str, cure: str) -> dict[str, str]:
    if answer.status != 200:
        raise SignInAgainError(f"{what} ({answer.status}): {cure}")
    given = dict(parse_qsl(answer.body.decode("utf-8", "replace"), keep_blank_values=True))
    if not given.get("oauth_token") or "oauth_token_secret" not in given:
        raise SignInAgainError(f"{what}: its answer holds no oauth_token with its oauth_token_secret; is this the right URL?")
    return given
