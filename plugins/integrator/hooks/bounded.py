"""Bounds of a person's session: how long an exchange may take from its begin to its end, and how much an answer may hold."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from urllib3.connection import HTTPConnection

from integrator.wire.session import too_large

_CHUNK = 1 << 16  # bytes
_AGAIN_S = 0.5
_here = threading.local()


class Deadline:
    """Ends whatever connection an exchange is on once its time is over: time-outs of sockets begin anew with each byte.

    Entered and left by the thread that sends; one within another counts for itself.

    Attributes:
        expired: whether the time was over before it was left; what was read by then may be cut off.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._seconds, self._left = seconds, threading.Event()
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._outer: Deadline | None = None

    def __enter__(self) -> Self:
        """Begin to count."""
        self._outer, _here.deadline = getattr(_here, "deadline", None), self
        threading.Thread(target=self._watch, name="integrator-deadline", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Count no longer."""
        self._left.set()
        _here.deadline = self._outer

    def _watch(self) -> None:
        if self._left.wait(self._seconds):
            return
        self.expired = True
        self._end()
        while not self._left.wait(_AGAIN_S):  # again, since a connection may have been on its way to being opened
            self._end()

    def _end(self) -> None:
        # A connection that is to be closed after its answer has no socket any more while the answer is being read.
        now: socket.socket | None = self._connection.sock if self._connection is not None else None
        for one in (now, self._socket):
            if one is None:
                continue
            with suppress(OSError):  # closed already
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # beneath TLS, whose own end would wait for the other side

    def on(self, connection: HTTPConnection) -> None:
        """Go on with this connection.

        Raises:
            TimeoutError: the time is over.
        """
        self._connection, self._socket = connection, connection.sock
        if self.expired:
            raise TimeoutError("the exchange took too long")


def goes_on(connection: HTTPConnection) -> None:
    """Say which connection this thread's exchange goes on with, before it is written to or read from.

    Raises:
        TimeoutError: the exchange's time is over.
    """
    deadline: Deadline | None = getattr(_here, "deadline", None)
    if deadline is not None:
        deadline.on(connection)


class BoundedBody:
    """A urllib3 response whose body may hold so many bytes and no more, decompressed. Everything else is as it was.

    Args:
        raw: the response.
        most: bytes.
        name: whose answer it is, for the message.
    """

    def __init__(self, raw: Any, most: int, name: str) -> None:
        self._raw, self._most, self._name = raw, most, name

    def stream(self, amt: int | None = _CHUNK, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in parts.

        Raises:
            SourceBrokenError: it is larger than it may be.
        """
        size = 0
        for part in self._raw.stream(min(amt or _CHUNK, _CHUNK), decode_content=decode_content):
            size += len(part)
            if size > self._most:
                self._raw.close()
                raise too_large(self._name, self._most)
            yield part

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Return the whole body; requests throws it away."""
        return b"".join(self.stream(amt, decode_content))

    def __getattr__(self, name: str) -> Any:
        """Return what the response itself has."""
        return getattr(self._raw, name)
