"""Who may be reached with a credential: the origins that it names, at public addresses or in networks that are allowed.

Source: PRODUCT.md section 5.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urljoin, urlsplit

from integrator.errors import ConfigError, EgressRefusedError
from integrator.model.credential import Credential
from integrator.model.hosts import Host, canonical
from integrator.wire.addresses import LOOPBACK, Network, is_public, literal, networks, never, plain_address, within

Origin = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> Origin:
    """Return scheme, host and port of a URL. Raises ValueError where there is no reading it."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


class Egress:
    """The addresses that one credential may be sent to.

    Attributes:
        base_url: as the credential names it, without a slash at its end.
        conn_id: the credential's name, for messages.
    """

    def __init__(
        self,
        base_url: str,
        conn_id: str,
        *,
        plain_http: bool = False,
        allowed: Sequence[Network] = (),
        suffixes: Sequence[str] = (),
        listed: Sequence[Host] = (),
    ) -> None:
        self.base_url, self.conn_id = base_url.rstrip("/"), conn_id
        self._plain_http, self._allowed, self._suffixes = plain_http, tuple(allowed), tuple(suffixes)
        self._listed = tuple(listed)
        self._below = f"{self.base_url}/"
        self._captured: str | None = None
        self._own = {origin(self.base_url)}  # where the system itself is
        self._all = set(self._own)  # also where it hands out tokens
        self._proxies: set[tuple[str, int]] = set()
        self._is_by_proxy: Callable[[str], object] = lambda _url: False

    @classmethod
    def of(
        cls,
        credential: Credential,
        allowed: Sequence[Network],
        more: Iterable[str] = (),
        suffixes: Sequence[str] = (),
        listed: Sequence[Host] = (),
    ) -> Egress:
        """Make the rules of a credential.

        Args:
            allowed: networks that may be reached beside public addresses.
            more: further URLs that the credential names, such as where tokens are given.
            suffixes: domains in which a base URL that an answer names may lie.
            listed: the only hosts that credentials of its project may reach; empty for no such list.

        Raises:
            ConfigError: a URL is not one that may be used; the message says what to change.
        """
        name = credential.conn_id
        _check_form(credential.base_url, f"credential {name}: the base URL (host)", "host must hold the base URL")
        if urlsplit(credential.base_url).query or urlsplit(credential.base_url).fragment:
            raise ConfigError(f"credential {name}: no query in the base URL; use params in the pipe")
        rules = cls(
            credential.base_url, name, plain_http=credential.plain_http, allowed=allowed, suffixes=suffixes, listed=listed
        )
        rules._refuse_literal(credential.base_url)
        for url in more:
            _check_form(url, f"credential {name}: the sign-in's URL", "it must be a URL")
            rules._refuse_literal(url)
            rules._all.add(origin(url))
        return rules

    def _refuse_literal(self, url: str) -> None:
        """Refuse what needs no resolving to be refused."""
        scheme, host, port = origin(url)
        self._refuse_unlisted(host, port)
        if scheme == "http" and not self._plain_http:
            raise ConfigError(
                f"credential {self.conn_id}: http sends secrets in clear (to {host}); use https, or set plain_http in extra for loopback and allowed networks"
            )
        try:
            address = literal(host)
        except ValueError:
            raise ConfigError(
                f"credential {self.conn_id}: {host!r} is an address in an odd notation; write it as four numbers"
            ) from None
        why = None if address is None else self._why_not(scheme, host, address)
        if why:
            raise ConfigError(f"credential {self.conn_id}: {why}")

    def _refuse_unlisted(self, host: str, port: int) -> None:
        if not self._listed:
            return
        project = self.conn_id.partition("__")[0]
        try:
            name = canonical(host)
        except ValueError as fault:
            raise ConfigError(
                f"credential {self.conn_id}: the host {host[:80]!r} cannot be looked up in the list of hosts of project {project}: {fault}"
            ) from None
        if not any(one.has(name, port) for one in self._listed):
            raise ConfigError(
                f"credential {self.conn_id}: {host}, port {port}, is not among the hosts that credentials of project {project} may reach; "
                f"an administrator of the project adds it to its egress list (integrator project configure {project} --egress)"
            )

    def _why_not(self, scheme: str, host: str, found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
        """Return why an address may not be connected to, or None when it may."""
        address = plain_address(found)
        if never(address) or never(found):
            return f"{host} is a link-local or multicast address or a metadata service, which no credential may reach"
        if within(address, self._allowed):
            return None
        if within(address, LOOPBACK):
            if scheme == "http" or _means_loopback(host):
                return None
            return f"{host} leads to this machine itself; write 127.0.0.1 as its host if that is meant"
        if scheme == "http":
            return f"plain_http reaches loopback and [integrator] allowed_networks only, and {host} is in neither; use https"
        if not is_public(address):
            return f"{host} is in a private network that [integrator] allowed_networks does not name; add the network there if this system is meant"
        return None

    def refuse_address(self, host: str, port: int, address: str) -> None:
        """Refuse a resolved address that may not be connected to.

        Raises:
            EgressRefusedError: it is not public, and not in an allowed network.
        """
        host = host.lower()
        if (host, port) in self._proxies:
            return
        scheme = "http" if ("http", host, port) in self._all else "https"
        why = self._why_not(scheme, host, ipaddress.ip_address(address.split("%", maxsplit=1)[0]))
        if why:
            outside = "resolves to an address outside loopback and allowed networks" if scheme == "http" else "was resolved"
            raise EgressRefusedError(f"credential {self.conn_id}: {host} {outside}: {why}")

    def allow_proxy(self, url: str, is_used: Callable[[str], object]) -> None:
        """Let the connector reach a proxy that the installation's settings name.

        Args:
            is_used: tells whether a URL is reached through it.

        Raises:
            ConfigError: http would lead through it to where only the proxy knows.
        """
        _scheme, host, port = origin(url)
        self._proxies.add((host, port))
        self._is_by_proxy = is_used
        for known in self._all:
            self._refuse_unseen(known)

    def _refuse_unseen(self, known: Origin) -> None:
        scheme, host, port = known
        if scheme == "http" and literal(host) is None and self._is_by_proxy(f"http://{host}:{port}"):
            raise ConfigError(
                f"credential {self.conn_id}: plain_http reaches loopback and [integrator] allowed_networks only, and where a proxy leads {host} "
                "to cannot be seen from here; use https, or name the host in [integrator] no_proxy"
            )

    def refuse_url(self, url: str) -> None:
        """Refuse a URL outside the credential's origins: the last wall before a request leaves.

        Raises:
            EgressRefusedError: it is another scheme, host or port.
        """
        if not url.startswith(self._below) and origin(url) not in self._all:
            raise EgressRefusedError(
                f"credential {self.conn_id} is not sent to another scheme, host or port than those that it names"
            )

    def at(self, path: str) -> str:
        """Return the URL of a path below the base URL."""
        if not path.startswith("/"):
            raise EgressRefusedError(f"credential {self.conn_id}: a path begins with /")
        return (self._captured or self.base_url) + path

    def follow(self, current: str, link: str) -> str:
        """Return the URL of a link that an answer named.

        Raises:
            EgressRefusedError: the link leaves the system's own origin.
        """
        try:
            url = urljoin(current, link)
            same = origin(url) in self._own and urlsplit(url).username is None
        except ValueError:
            same = False
        if not same or any(ord(sign) < 33 or ord(sign) == 127 for sign in link + url):
            raise EgressRefusedError(
                f"credential {self.conn_id}: the answer's link leads to another scheme, host or port than the base URL's; it is not followed"
            )
        return url.split("#")[0]

    def capture(self, url: str) -> None:
        """Take a base URL that a sign-in's answer named in place of the credential's own.

        Raises:
            EgressRefusedError: it lies outside the declared domains, or is not one that may be used.
        """
        try:
            _check_form(url, f"credential {self.conn_id}: the base URL that the sign-in gave", "it must be a URL")
            _scheme, host, _port = made = origin(url)
            if made not in self._own and not any(host == one or host.endswith(f".{one}") for one in self._suffixes):
                raise ConfigError(
                    f"credential {self.conn_id}: the sign-in gave a base URL outside {', '.join(self._suffixes) or 'its own host'}; "
                    "name its domain in base_url_suffixes if it is the system's"
                )
            self._refuse_literal(url)
            self._refuse_unseen(made)
        except (ConfigError, ValueError) as fault:
            raise EgressRefusedError(str(fault)) from None
        self._captured = url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0].rstrip("/")
        self._own.add(made)
        self._all.add(made)

    def moved(self, url: str) -> str:
        """Return where a URL below the credential's base URL lies once a sign-in has named another one."""
        rest = url[len(self.base_url) :]
        if self._captured is None or not url.startswith(self.base_url) or rest[:1] not in ("", "/", "?", "#"):
            return url  # what goes on by another sign lies elsewhere, and behind a captured host would make another host of it
        return self._captured + rest

    def __repr__(self) -> str:
        """Return whose it is."""
        return f"<Egress {self.conn_id}>"


def _check_form(url: str, what: str, must: str) -> None:
    """Refuse what is not a URL of http or https without a user in it.

    Raises:
        ConfigError: the message says what to write.
    """
    try:
        parts = urlsplit(url)
        scheme, host, _port = origin(url)
    except ValueError:
        raise ConfigError(f"{what} is not a URL") from None
    if scheme not in _PORTS or not host or any(ord(sign) < 33 or ord(sign) == 127 for sign in url) or "\\" in url:
        raise ConfigError(f"{what}: {must} with its scheme, such as https://api.example.com")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{what}: no user or password in the base URL; they belong in extra")


def _means_loopback(host: str) -> bool:
    """Tell whether whoever wrote this host meant this machine."""
    address = literal(host)
    return within(address, LOOPBACK) if address is not None else host == "localhost" or host.endswith(".localhost")


__all__ = ["Egress", "Network", "Origin", "networks", "origin"]
