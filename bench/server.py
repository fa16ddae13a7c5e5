"""A neutral server in a process of its own: a source of pages, or a destination that counts every ID it is given.

`python -m bench.server source|destination --records N [--latency-ms N] [--refuse] [--ntlm]` prints its port, and serves until stdin ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bench.records import BULK, PAGE, Pages, entity_id, is_refused

_ID = re.compile(rb'"r(\d{6})-(\d{3})"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAGE = re.compile(rb"[?&]page=(\d+)")
_NTLM = re.compile(rb"\r\nauthorization: *NTLM ([A-Za-z0-9+/=]+)", re.IGNORECASE)
_ASKS = b"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM%s\r\nContent-Length: 0\r\n\r\n"
_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def answer(body: bytes, status: int = 200) -> bytes:
    """Return an answer as bytes."""
    return _HEAD % (status, len(body)) + body


class Source:
    """Gives pages."""

    latency_s = 0.0

    def __init__(self, records: int) -> None:
        self._pages = Pages(records)

    def reply(self, path: bytes, _body: bytes) -> bytes:
        found = _PAGE.search(path)
        return answer(self._pages.render(int(found[1]) if found else 1))


class Destination:
    """Takes records, one or many in a call, and counts each ID."""

    def __init__(self, records: int, latency_s: float, *, refuses: bool) -> None:
        self.latency_s, self._records, self._refuses = latency_s, records, refuses
        self._seen = bytearray(records)
        self._calls = 0
        self._all_well = answer(_results(BULK))
        self._created = answer(b'{"ok":true}', 201)
        self._found = answer(b'{"data":[{"id":7,"name":"found"}]}')
        self._asked: dict[bytes, int] = {}

    def reply(self, path: bytes, body: bytes) -> bytes:
        if path == b"/stats":
            return answer(json.dumps(self._stats()).encode())
        self._calls += 1
        if path.startswith(b"/look-up/"):
            self._asked[path] = self._asked.get(path, 0) + 1
            return self._found
        numbers = [int(page) * PAGE + int(at) for page, at in _ID.findall(body)]
        refused = {at for at, number in enumerate(numbers) if is_refused(number)} if self._refuses else set()
        for at, number in enumerate(numbers):
            if at not in refused:
                self._seen[number] = min(255, self._seen[number] + 1)
        if path == b"/bulk":
            return self._all_well if len(numbers) == BULK and not refused else answer(_results(len(numbers), refused))
        return answer(b'{"ok":false,"code":"AMOUNT"}', 422) if refused else self._created

    def _stats(self) -> dict[str, Any]:
        due = [n for n in range(self._records) if not (self._refuses and is_refused(n))]
        missing = [n for n in due if not self._seen[n]]
        again = sum(self._seen) - sum(1 for count in self._seen if count)
        names = {"lost": len(missing), "first_lost": [entity_id(n) for n in missing[:3]], "duplicated": again}
        asked = {"look_ups": sum(self._asked.values()), "look_up_keys": len(self._asked)}
        return {**names, **asked, "calls": self._calls, "cpu_s": round(time.process_time(), 3)}


def _results(count: int, refused: set[int] = frozenset()) -> bytes:  # type: ignore[assignment]
    one = [b'{"ok":false,"code":"AMOUNT"}' if at in refused else b'{"ok":true}' for at in range(count)]
    return b'{"results":[' + b",".join(one) + b"]}"


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1 with a content length and nothing else, which is all that these clients send."""

    def __init__(self, system: Source | Destination, accept: Callable[[], Any] | None = None) -> None:
        self._system = system
        self._buffer = bytearray()
        self._accept = accept
        self._acceptor: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[:end])
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(buffer) < end + 4 + length:
                return
            body = bytes(buffer[end + 4 : end + 4 + length])
            del buffer[: end + 4 + length]
            path = head.split(b" ", 2)[1]
            open_to_all = self._accept is None or path == b"/stats"
            made = (None if open_to_all else self._signed_in(head)) or self._system.reply(path, body)
            if self._system.latency_s:
                asyncio.get_running_loop().call_later(self._system.latency_s, self._transport.write, made)
            else:
                self._transport.write(made)

    def _signed_in(self, head: bytes) -> bytes | None:
        """Return the answer to a leg of a sign-in, or None for a request on a connection that is signed in."""
        said = _NTLM.search(head)
        if said is None:
            return None if self._acceptor is not None and self._acceptor.complete else _ASKS % b""
        message = b64decode(said[1])
        if message[8] == 1 and self._accept is not None:
            self._acceptor = self._accept()
        challenge = self._acceptor.step(message)
        return answer(b"") if challenge is None else _ASKS % (b" " + b64encode(challenge))


def acceptor(accounts: Path) -> Callable[[], Any]:
    """Return what begins to accept a sign-in by NTLM of the one account there is."""
    import spnego

    accounts.write_text("BENCH:mover:bench-password\n")
    os.environ["NTLM_USER_FILE"] = str(accounts)
    return lambda: spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)


async def serve(system: Source | Destination, accept: Callable[[], Any] | None) -> None:
    """Serve on loopback until stdin ends, so that no server outlives the run that started it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(system, accept), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("role", choices=["source", "destination"])
    asked.add_argument("--records", type=int, default=0)
    asked.add_argument("--latency-ms", type=float, default=0)
    asked.add_argument("--refuse", action="store_true")
    asked.add_argument("--ntlm", action="store_true")
    given = asked.parse_args()
    system = (
        Source(given.records)
        if given.role == "source"
        else Destination(given.records, given.latency_ms / 1000, refuses=given.refuse)
    )
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(serve(system, acceptor(Path(folder) / "accounts") if given.ntlm else None))


if __name__ == "__main__":
    main()
