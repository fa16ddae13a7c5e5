"""A busy port gives the next free one."""

from __future__ import annotations

import socket

from integrator.launching.free_port import free_port


def test_a_busy_port_gives_the_next_free_one() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        busy = server.getsockname()[1]
        assert busy < free_port(busy, set()) <= busy + 99


def test_two_parts_never_get_the_same_port() -> None:
    taken: set[int] = set()
    assert len({free_port(40_000, taken), free_port(40_000, taken), free_port(40_000, taken)}) == 3
