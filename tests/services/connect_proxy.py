"""A proxy that hands connections on (CONNECT), and leads every name to loopback."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self


class ConnectProxy:
    """Counts the tunnels that it made."""

    def __init__(self) -> None:
        self.tunnels: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                made, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(made,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(4096)
        word, target, _version = head.split(b"\r\n", 1)[0].decode().split()
        if word != "CONNECT":
            near.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
            near.close()
            return
        self.tunnels.append(target)
        far = socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2])))
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with near, far, suppress(OSError):
            while True:
                for one in select.select([near, far], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
