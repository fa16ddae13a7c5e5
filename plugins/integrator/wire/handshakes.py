"""How a connection is signed in: what a scheme offers for it, and one sign-in's legs, which both faces send."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from integrator.errors import SignInAgainError, StopRunError

CHALLENGE_MAX = 16_384
"""Characters of the longest challenge that is looked at; real ones have some hundreds."""
UNANSWERED_MAX = 3
"""How often in a row a connection may break off when all has been said: the other side may have counted each as a failed sign-in."""
SHAKES = 3
"""How often a sign-in is begun anew because its connection was closed under it."""
NOT_UNDERSTOOD = frozenset({403, 404, 405, 501})
BUSY = frozenset({429, 503})
AWAY = frozenset({408, 502, 504, 520, 522, 524})
WHY_CLOSED = (
    "the connection is closed between two steps of its sign-in; does a proxy or load balancer between not keep connections?"
)
WHY_BUSY = "it answers its sign-in by asking for patience (429 or 503)"
WHY_AWAY = "its sign-in is answered by a gateway that does not reach it"


class Handshake(Protocol):
    """Signs one connection in."""

    @property
    def complete(self) -> bool:
        """Whether nothing more is to be said: the other side's next answer tells what it thinks of it."""

    def step(self, challenge: bytes | None, certificate: bytes | None) -> bytes:
        """Return what to send next.

        Args:
            challenge: what the other side said; None at first.
            certificate: the server's, in DER form, to which the sign-in is bound; None without TLS.

        Raises:
            ValueError: the challenge makes no sense; the message says why, in words.
        """


class Handshakes(Protocol):
    """A scheme that signs a connection in rather than its requests."""

    @property
    def word(self) -> str:
        """What stands before its messages in WWW-Authenticate and Authorization."""

    @property
    def connections(self) -> int:
        """Most connections at once."""

    def handshake(self, host: str) -> Handshake:
        """Begin to sign a connection to a host in.

        Raises:
            ValueError: it cannot be begun; the message says why, in words.
        """


class Waits(Protocol):
    """Remembers refusals for all workers and runs. Blocking; called from a thread. Each but `mark` raises TryAgainError when its database is away."""

    def told(self) -> str | None:
        """Return what to tell instead of signing in, or None."""

    def mark(self, words: str) -> None:
        """Let the credential wait for a person."""

    def clear(self) -> None:
        """Let it wait no more: it was signed in."""


class NotSignedInError(Exception):
    """The connection is not the one that was signed in, so nothing was sent on it."""


class Ways:
    """How the legs of a credential's sign-ins ask: without a body, and without changing anything.

    HEAD costs the other side least. GET where HEAD is not understood, or where its answer ends the connection.

    Args:
        small: URL that is cheap to get; None to ask for what the request asks for.
    """

    def __init__(self, small: str | None) -> None:
        self._small, self._head = small, True

    def of(self, url: str) -> list[tuple[str, str]]:
        """Return methods and URLs, best first."""
        return [("HEAD", url)] * self._head + [("GET", self._small or url)]

    def ends(self, method: str) -> None:
        """Learn that an answer ended its connection.

        Raises:
            NotSignedInError: there is no other way.
        """
        if method == "GET":
            raise NotSignedInError
        self._head = False


@dataclass(frozen=True, slots=True)
class Signing:
    """What a credential's connections are signed in with, on both faces.

    Attributes:
        name: the credential's, for messages.
        headers: the credential's fixed headers, which the legs carry too.
        ways: how the legs ask.
        waits: remembers refusals.
    """

    name: str
    scheme: Handshakes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    ways: Ways
    waits: Waits

    def begin(self, host: str) -> SignIn:
        """Begin to sign a connection to a host in.

        Raises:
            StopRunError: it cannot be begun here.
        """
        return SignIn(self.name, self.scheme, host)

    def refused(self) -> SignInAgainError:
        """Return what is raised, and remembered, when a sign-in was refused."""
        return SignInAgainError(
            f"{self.name} refuses the credential (401); check its user and password, and whether the account is locked. "
            f"It is not tried again, lest it be: change it, or have it tried (integrator credential test {self.name.replace('__', '/', 1)})",
            lasting=True,
        )


class Heard(Enum):
    """What an answer to a leg means."""

    GO_ON = "send the next leg"
    SIGNED_IN = "the connection is signed in"
    OPEN = "it asks for no sign-in here"
    REFUSED = "it does not accept the sign-in"
    BUSY = "it is busy; the answer says so"
    AWAY = "a gateway answered in its place"


class SignIn:
    """One connection's sign-in.

    Args:
        name: the credential's, for messages.
        scheme: what signs in.
        host: whom.

    Raises:
        StopRunError: it cannot be begun here.
    """

    def __init__(self, name: str, scheme: Handshakes, host: str) -> None:
        self._name, self._word = name, scheme.word
        try:
            self._handshake = scheme.handshake(host)
        except ValueError as fault:
            raise StopRunError(f"{name}: {fault}") from None
        self._message = self._step(None, None)
        self._legs = 0

    @property
    def complete(self) -> bool:
        """Whether the leg that is due says all there is to say."""
        return self._handshake.complete

    def headers(self) -> dict[str, str]:
        """Return the headers of the leg that is due."""
        self._legs += 1
        return {"Authorization": f"{self._word} {b64encode(self._message).decode()}"}

    def hear(self, status: int, offers: Iterable[str], certificate: bytes | None) -> Heard:
        """Take the answer to a leg.

        Raises:
            SignInAgainError: it does not offer this way of signing in.
            StopRunError: its challenge makes no sense.
        """
        if status in BUSY:
            return Heard.BUSY
        if status in AWAY:
            return Heard.AWAY
        if status != 401:
            return Heard.OPEN if self._legs == 1 else Heard.SIGNED_IN
        if self._handshake.complete:
            return Heard.REFUSED
        said = [*offers]
        challenge = challenge_in(said, self._word)
        if challenge is None:
            raise SignInAgainError(f"{self._name} {_instead(said, self._word)}")
        self._message = self._step(challenge, certificate)
        return Heard.GO_ON

    def _step(self, challenge: bytes | None, certificate: bytes | None) -> bytes:
        try:
            return self._handshake.step(challenge, certificate)
        except ValueError as fault:
            raise StopRunError(f"{self._name}: {fault}") from None


def challenge_in(offers: Iterable[str], word: str) -> bytes | None:
    """Return the challenge that stands in WWW-Authenticate headers, or None where there is none that can be read."""
    form = re.compile(rf"(?:^|,)\s*{re.escape(word)}\s+([A-Za-z0-9+/]+={{0,2}})\s*(?:,|$)", re.IGNORECASE)
    for offer in offers:
        found = form.search(offer) if len(offer) <= CHALLENGE_MAX else None
        if found is not None:
            try:
                return b64decode(found[1], validate=True)
            except ValueError:
                return None
    return None


def _instead(offers: list[str], word: str) -> str:
    known = ("Negotiate", "NTLM", "Basic", "Digest", "Bearer")
    offered = [
        one for one in known if any(re.search(rf"(?:^|,)\s*{one}\b", offer[:CHALLENGE_MAX], re.IGNORECASE) for offer in offers)
    ]
    if word in offered:
        return f"offers {word} and gives no challenge that can be read; it was not sent the password"
    if not offered:
        return f"asks for a sign-in and does not offer {word}; it was not sent the password"
    other = next((one for one in offered if one in ("Negotiate", "NTLM")), None)
    cure = f"set word to {other}" if other else "choose the type of credential for what it offers, or have NTLM enabled there"
    return f"offers {' and '.join(offered)}, not {word}; it was not sent the password; {cure}"
