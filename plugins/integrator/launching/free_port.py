"""Ports on loopback: the wanted one, else the next that is free."""

from __future__ import annotations

import socket

from integrator.errors import ConfigError

TRIES = 100


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only winding down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int, taken: set[int]) -> int:
    """Return the wanted port or the next free one, and add it to `taken`.

    Raises:
        ConfigError: none of the next hundred is free.
    """
    for port in range(wanted, min(wanted + TRIES, 65_536)):
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise ConfigError(f"ports {wanted} to {wanted + TRIES - 1} are all busy; choose another with --port")
