"""Writes a flow run's console log beside the run: bounded in memory and size, in a thread of its own, never in the run's way.

Lines are redacted, packed and written in parts, each of which can be read by itself; what a killed worker had flushed is there.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from integrator.errors import IntegratorError
from integrator.model.console import ConsoleLog, Content, Switch
from integrator.store.console import SqlConsole
from integrator.store.console_files import Objects
from integrator.wire.message import Answer, Request
from integrator.wire.redact import Redactor

FLUSH_S = 1.0
PART_BYTES = 4 << 20
"""Text of one part, before it is packed."""
BODY_BYTES = 256 << 10
"""Most of one body that is looked at and written."""
WAITING_BYTES = 32 << 20
"""What may wait to be written; above it lines are dropped, and that is told."""
FAILURES_MAX = 3
"""Failed writes in a row after which the log is given up."""
END_SHARE, END_MIN_S = 0.05, 1.0
"""Share of a run's duration for which its end waits for the log, and the least of it."""


class ConsoleWriter:
    """Fits `wire.tap.Tap`. One for a flow run.

    Args:
        console: says what is switched on, and what was deleted.
        objects: keeps the parts.
        redactor: knows the secrets of every credential that the flow uses.
        clock: monotonic seconds.
    """

    def __init__(
        self, console: SqlConsole, objects: Objects, redactor: Redactor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on = self.takes_lines = False
        self._console, self._objects, self._redactor, self._clock = console, objects, redactor, clock
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._bytes_waiting = 0
        self._wake, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._dropped = self._part = self._written = self._failures = 0
        self._fault: str | None = None
        self._log: ConsoleLog | None = None
        self._switch: Switch | None = None
        self._began = clock()

    @property
    def redactor(self) -> Redactor:
        """What hides secrets; whoever earns one tells it."""
        return self._redactor

    def begin(self, project: str, pipe: str, run_id: str, flow: str) -> None:
        """Begin, if the pipe's console log is switched on now; the run uses the switch as it is now."""
        try:
            self._switch = self._console.switch(project, pipe)
            if self._switch is None:
                return
            self._log = self._console.begin(project, pipe, run_id, flow)
        except IntegratorError:
            return  # a run never fails for its log; that there is none is what `integrator console list` shows
        self._began = self._clock()
        self.on = True
        self.takes_lines = Content.REQUEST_BODY in self._switch.contents  # they hold of a record what its body may hold
        self._thread = threading.Thread(target=self._live, name="integrator-console", daemon=True)
        self._thread.start()

    def note(self, system: str, request: Request, answer: Answer | None, seconds: float, why: str | None = None) -> None:
        """Take note of a call; drops it when too much waits."""
        size = 500 + min(len(request.body or b""), BODY_BYTES) + (min(len(answer.body), BODY_BYTES) if answer is not None else 0)
        if self._bytes_waiting + size > WAITING_BYTES:
            self._drop(1, "too_fast")
            return
        self._bytes_waiting += size
        self._waiting.append((size, time.time(), system, request, answer, seconds, why))

    def line(self, text: str, entity_id: str | None, values: bytes) -> None:
        """Take note of a line of the pipe's own; drops it when too much waits."""
        if not self.on:
            return  # switched off meanwhile
        size = 200 + len(text) + len(values)
        if self._bytes_waiting + size > WAITING_BYTES:
            self._drop(1, "too_fast")
            return
        self._bytes_waiting += size
        self._waiting.append((size, time.time(), text, entity_id, values))

    def close(self) -> None:
        """Flush, within a bounded time, and stop; what is not written by then is dropped."""
        if self._thread is None:
            return
        self.on = False
        self._over.set()
        self._wake.set()
        self._thread.join(max(END_MIN_S, END_SHARE * (self._clock() - self._began)))
        if self._thread.is_alive():
            self._drop(len(self._waiting), "behind")
            self._waiting.clear()
        self._thread = None
        if self._log is not None:
            try:
                self._console.end(self._log, self._dropped, self._fault)
            except IntegratorError:
                return  # the log stays open in the list; its parts are there

    # -- the thread's own

    def _live(self) -> None:
        buffer = bytearray()
        lines, flushed_at = 0, self._clock()
        while True:
            ended = self._over.is_set()
            while self._waiting and len(buffer) < PART_BYTES:
                buffer += self._encoded(self._waiting.popleft())
                lines += 1
            full = len(buffer) >= PART_BYTES
            if buffer and (full or ended or self._clock() - flushed_at >= FLUSH_S):
                going_on = self._flush(bytes(buffer), lines)
                buffer.clear()
                lines, flushed_at = 0, self._clock()
                if not going_on:
                    self._stop()
                    return
            if ended and not self._waiting and not buffer:
                return
            if not self._waiting and not ended:
                self._wake.wait(FLUSH_S / 4)

    def _stop(self) -> None:
        self.on = False
        self._drop(len(self._waiting), self._fault or "switched_off")
        self._waiting.clear()

    def _drop(self, lines: int, fault: str) -> None:
        if lines:
            self._dropped += lines
            self._fault = self._fault or fault

    def _flush(self, text: bytes, lines: int) -> bool:
        """Write one part; False when the log has come to its end."""
        assert self._log is not None and self._switch is not None  # noqa: S101 - the thread lives only then
        try:
            if not self._console.may_write(self._log):
                self._drop(lines, "switched_off")
                return False
            data = gzip.compress(text, 5, mtime=0)
            if self._written + len(data) > self._switch.max_mb << 20:
                self._drop(lines, "size_cap")
                return False
            key = self._log.key(self._part)
            self._objects.put(key, data)
            self._part, self._written, self._failures = self._part + 1, self._written + len(data), 0
            if not self._console.note(self._log, objects=1, size=len(data), lines=lines):
                self._objects.delete(key)  # deleted while it was on its way: it must not come back
                return False
        except IntegratorError:
            self._failures += 1
            self._drop(lines, "store_fails")
            return self._failures < FAILURES_MAX
        return True

    def _encoded(self, waiting: tuple[Any, ...]) -> bytes:
        self._bytes_waiting -= waiting[0]
        made = self._own_line(*waiting[1:]) if len(waiting) == 5 else self._call(*waiting[1:])
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace") + b"\n"

    def _own_line(self, at: float, text: str, entity_id: str | None, values: bytes) -> dict[str, Any]:
        made = {"at": _instant(at), "log": self._redactor.text(text[:BODY_BYTES])}
        if entity_id is not None:
            made["entity_id"] = self._redactor.text(entity_id)
        return made | {"values": self._body(values, "application/json")}

    def _call(
        self, at: float, system: str, request: Request, answer: Answer | None, seconds: float, why: str | None
    ) -> dict[str, Any]:
        assert self._switch is not None  # noqa: S101 - the thread lives only then
        contents, redactor = self._switch.contents, self._redactor
        made: dict[str, Any] = {"at": _instant(at), "system": system}
        if Content.CALL in contents:
            made |= {"method": request.method, "url": redactor.url(request.url), "ms": round(seconds * 1000, 1)}
        made["status"] = answer.status if answer is not None else None
        if why is not None:
            made["failed"] = why
        if Content.PARAMS in contents:
            made["params"] = redactor.params(request.url.partition("?")[2])
        if Content.HEADERS in contents:
            made["request_headers"] = redactor.headers(request.headers)
            made["response_headers"] = redactor.headers(dict(answer.headers)) if answer is not None else None
        if Content.REQUEST_BODY in contents:
            made["request_body"] = self._body(request.body or b"", request.headers.get("Content-Type", ""))
        if Content.RESPONSE_BODY in contents and answer is not None:
            made["response_body"] = self._body(answer.body, answer.headers.get("Content-Type", ""))
        return made

    def _body(self, body: bytes, content_type: str) -> str:
        if len(body) <= BODY_BYTES:
            return self._redactor.body(body, content_type)
        # A secret may be cut in two at the end of what is shown, so the last piece of it goes.
        shown = body[:BODY_BYTES].rpartition(b",")[0] or b""
        return self._redactor.body(shown, content_type) + f" ... ({len(body):,} bytes in all)"


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
