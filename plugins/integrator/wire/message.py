"""A request and its answer, and the seam of two calls between them. Neither ever prints its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from integrator.model.record import Quiet


class Request(Quiet):
    """One HTTP request. `repeatable`: whether sending it twice does no more than sending it once."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None
    repeatable: bool = True


class Answer(Quiet):
    """What came back, read to its last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends bytes and returns status, headers and bytes; a faster one may take its place."""

    async def send(self, request: Request) -> Answer:
        """Send once.

        Raises:
            NotSentError: nothing reached the other side.
            LostError: it may have reached the other side, and no whole answer came.
            StopRunError: the answer is too large, or the certificate does not hold.
        """

    async def close(self) -> None:
        """Give connections back."""


class NotSentError(Exception):
    """Nothing reached the other side, so sending again is always safe.

    Args:
        why: what kept it from being sent, in words.
    """

    def __init__(self, why: str = "nothing answers there; is it running?") -> None:
        super().__init__(why)
        self.why = why


class LostError(Exception):
    """The request may have been carried out; its answer is lost."""


@dataclass(slots=True)
class Meter:
    """What the wire counts for a flow run."""

    api_calls: int = 0
    retries: int = 0
    throttled_s: float = 0.0
    bytes_read: int = 0
    bytes_sent: int = 0
