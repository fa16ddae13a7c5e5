"""The hosts that a project's credentials may reach, as its administrators list them.

One spelling for one host: small letters, no dot at the end, names beyond ASCII as `xn--...`, addresses as numbers are usually
written. A host in any other spelling is in no list, so that nobody has to guess how whoever connects would read it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

HOSTS_MAX = 200
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\Z")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")
"""A last label by which some resolvers take the whole for an IPv4 address, such as `127.1`, `0x7f.1` or `2130706433`."""
_PORT = re.compile(r":([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class Host:
    """An entry of the list.

    Attributes:
        name: as `canonical` returns it.
        below: whether whatever lies below the name is meant, and not the name itself.
        port: the only one that is meant; None for any.
    """

    name: str
    below: bool = False
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Host:
        """Read `api.example.com`, `*.example.com`, `203.0.113.7`, `[2001:db8::1]`, each also with `:port`. Raises ValueError where it is none of them."""
        found = _PORT.search(text)
        port = int(found[1]) if found else None
        name = text[: found.start()] if found else text
        below = name.startswith("*.")
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"{text[:80]!r}: a port is from 1 to 65535")
        try:
            made = canonical(name.removeprefix("*."), bracketed=True)
        except ValueError as fault:
            raise ValueError(f"{text[:80]!r}: {fault}") from None
        if below and _address(made) is not None:
            raise ValueError(f"{text[:80]!r}: nothing lies below an address")
        return cls(made, below, port)

    def __str__(self) -> str:
        """Return it as it is written."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{'*.' * self.below}{name}{'' if self.port is None else f':{self.port}'}"

    def has(self, name: str, port: int) -> bool:
        """Tell whether a host, as `canonical` returns it, is meant."""
        if self.port not in (None, port):
            return False
        if self.below:
            return name.endswith(f".{self.name}")
        return name == self.name


def hosts_of(texts: Iterable[str]) -> tuple[Host, ...]:
    """Return a list's entries, each once. Raises ValueError where one is none, or where there are too many."""
    made = tuple(dict.fromkeys(map(Host.of, texts)))
    if len(made) > HOSTS_MAX:
        raise ValueError(f"a list holds {HOSTS_MAX} hosts at most; *.example.com stands for all below a domain")
    return made


def canonical(host: str, *, bracketed: bool = False) -> str:
    """Return the one spelling of a host.

    Args:
        bracketed: whether IPv6 addresses stand in brackets, as in a URL, and not bare, as what is read from one.

    Raises:
        ValueError: it is none, or it is spelt so that two programs might read two different hosts.
    """
    text = host.lower()
    if "/" not in text and any(sign in text for sign in ":[]"):
        if bracketed:
            if not (text.startswith("[") and text.endswith("]")):
                raise ValueError("an IPv6 address stands in brackets, such as [2001:db8::1]")
            text = text[1:-1]
        try:
            address = ipaddress.IPv6Address(text)
        except ValueError:
            raise ValueError("it is no IPv6 address") from None
        if address.scope_id is not None:
            raise ValueError("an address that holds on one link only is reached by no credential")
        return str(address.ipv4_mapped or address)
    if not text.isascii():
        raise ValueError("write a host beyond ASCII as DNS has it, xn--...: what is shown alike may be another one")
    text = text.removesuffix(".")
    if len(text) > 253 or not _NAME.match(text):
        raise ValueError(
            "a host is a name such as api.example.com or *.example.com, or an address, with :port if only that is meant"
        )
    if _NUMBER.match(text.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError("an address in an odd notation; write it as four numbers") from None
    return text


def _address(name: str) -> object | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
