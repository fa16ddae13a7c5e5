"""Who may be reached with a credential: its own origin and nobody else. Source: PRODUCT.md section 5."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from integrator.errors import ConfigError, EgressRefusedError
from integrator.model.credential import Credential

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_PORTS = {"http": 80, "https": 443}


def networks(text: str) -> tuple[Network, ...]:
    """Read CIDR ranges with commas between.

    Raises:
        ConfigError: one is not a network.
    """
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError("[integrator] allowed_networks holds CIDR ranges with commas, such as 10.1.0.0/16") from None


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


@dataclass(frozen=True, slots=True)
class Egress:
    """The addresses that one credential may be sent to."""

    base_url: str
    conn_id: str
    plain_networks: tuple[Network, ...] = ()
    """Networks that http may reach; empty when only https is allowed."""

    @classmethod
    def of(cls, credential: Credential, allowed: Sequence[Network]) -> Egress:
        """Make the rules of a credential.

        Raises:
            ConfigError: its base URL is not one that may be used; the message says what to change.
        """
        name = credential.conn_id
        try:
            parts = urlsplit(credential.base_url)
            scheme, host, _port = origin(credential.base_url)
        except ValueError:
            raise ConfigError(f"credential {name}: the base URL (host) is not a URL") from None
        if scheme not in _PORTS or not host:
            raise ConfigError(f"credential {name}: host must hold the base URL with its scheme, such as https://api.example.com")
        if parts.username is not None or parts.password is not None:
            raise ConfigError(f"credential {name}: no user or password in the base URL; they belong in extra")
        if parts.query or parts.fragment:
            raise ConfigError(f"credential {name}: no query in the base URL; use params in the pipe")
        if scheme == "http" and not credential.plain_http:
            raise ConfigError(
                f"credential {name}: http sends secrets in clear; use https, or set plain_http in extra for loopback and allowed networks"
            )
        plain = (*LOOPBACK, *allowed) if scheme == "http" else ()
        rules = cls(credential.base_url.rstrip("/"), name, plain)
        if not plain and not rules.literal_allowed(host):
            raise ConfigError(f"credential {name}: {host} is a link-local or multicast address, which no credential may reach")
        if plain and not rules.literal_allowed(host):
            raise ConfigError(
                f"credential {name}: plain_http reaches loopback and [integrator] allowed_networks only, and {host} is in neither; use https"
            )
        return rules

    def literal_allowed(self, host: str) -> bool:
        """Tell whether a host written as an address may be reached in clear; names are checked once resolved."""
        try:
            return self.address_allowed(host)
        except ValueError:
            return True

    def address_allowed(self, address: str) -> bool:
        """Tell whether this resolved address may be connected to."""
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            return False  # a cloud's metadata service lies there, and no business system
        if not self.plain_networks:
            return True
        return any(ip in network for network in self.plain_networks if network.version == ip.version)

    def at(self, path: str) -> str:
        """Return the URL of a path below the base URL."""
        if not path.startswith("/"):
            raise EgressRefusedError(f"credential {self.conn_id}: a path begins with /")
        return self.base_url + path

    def follow(self, current: str, link: str) -> str:
        """Return the URL of a link that an answer named.

        Raises:
            EgressRefusedError: the link leaves the credential's own origin.
        """
        try:
            url = urljoin(current, link)
            same = origin(url) == origin(self.base_url) and urlsplit(url).username is None
        except ValueError:
            same = False
        if not same or any(ord(sign) < 33 or ord(sign) == 127 for sign in link + url):
            raise EgressRefusedError(
                f"credential {self.conn_id}: the answer's link leads to another scheme, host or port than the base URL's; it is not followed"
            )
        return url.split("#")[0]
