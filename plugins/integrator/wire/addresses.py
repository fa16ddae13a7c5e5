"""Which addresses are public, and which networks an installation lets credentials reach beside them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from integrator.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ODD = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?\Z", re.IGNORECASE)
"""Last label of a host that some resolvers take for an IPv4 address, such as `127.1`, `0x7f.1` or `2130706433`."""


def networks(text: str) -> tuple[Network, ...]:
    """Read CIDR ranges with commas between.

    Raises:
        ConfigError: one is not a network.
    """
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError("[integrator] allowed_networks holds CIDR ranges with commas, such as 10.1.0.0/16") from None


def literal(host: str) -> Address | None:
    """Return the address that a host spells out, or None for a name.

    Raises:
        ValueError: it is an address in an odd notation, which a checker and a connector may read differently.
    """
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0])
    except ValueError:
        if _ODD.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise
        return None


def plain_address(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def never(address: Address) -> bool:
    """Tell whether no business system lies there, whatever anybody allows: a cloud's metadata service does."""
    return address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA


_METADATA = frozenset(ipaddress.ip_address(one) for one in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
"""Metadata services outside the link-local range."""


def within(address: Address, allowed: Iterable[Network]) -> bool:
    """Tell whether an address lies in one of these networks."""
    return any(address in network for network in allowed if network.version == address.version)


def is_public(address: Address) -> bool:
    """Tell whether the address is one of the internet's, not of a private network or of this machine."""
    if isinstance(address, ipaddress.IPv6Address) and (address.teredo or address.is_site_local):
        return False
    return address.is_global and not address.is_reserved
