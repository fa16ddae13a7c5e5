"""Which proxy a call goes through. Source: `[integrator] proxy` and `no_proxy`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from integrator.errors import ConfigError
from integrator.settings import Settings
from integrator.wire.addresses import LOOPBACK, Network, literal, within


@dataclass(frozen=True, slots=True)
class Proxies:
    """The one proxy, and what is reached without it: loopback always, and the hosts, domains and networks of `no_proxy`."""

    url: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Proxies:
        """Read the settings.

        Raises:
            ConfigError: one of them cannot be read; its value is not shown.
        """
        import ipaddress

        url = settings.proxy.strip()
        try:
            parts = urlsplit(url)
            usable = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError("[integrator] proxy is not a URL such as http://proxy.example:3128")
        hosts, networks = set(), list[Network]()
        for one in (part.strip().lower() for part in settings.no_proxy.split(",")):
            try:
                networks.append(ipaddress.ip_network(one))
            except ValueError:
                hosts.add(one.removeprefix("*").removeprefix("."))
        return cls(url, frozenset(hosts - {""}), tuple(networks))

    def for_url(self, url: str) -> str | None:
        """Return the proxy for a call to this URL, or None when it goes there straight."""
        if not self.url:
            return None
        host = (urlsplit(url).hostname or "").lower()
        if host == "localhost" or any(host == one or host.endswith(f".{one}") for one in self.hosts):
            return None
        address = literal(host)
        if address is not None and within(address, (*LOOPBACK, *self.networks)):
            return None
        return self.url


NO_PROXIES = Proxies()
