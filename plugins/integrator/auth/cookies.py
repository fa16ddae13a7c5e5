"""A login's cookies, each for the origin that set it, and for the hosts of the domain that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from integrator.errors import SignInAgainError
from integrator.wire.egress import origin
from integrator.wire.headers import Cookie, cookies_of

COOKIES_MAX = 8192  # characters


def place_of(url: str) -> str:
    """Return the origin of a URL, as text. What follows the host may hold braces."""
    scheme, host, port = origin(url)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(slots=True)
class Jar:
    """Cookies of the calls of one sign-in. Nothing of it prints.

    A cookie is bound to scheme, host and port, tighter than browsers do, unless it names a domain: then it goes to hosts of that
    domain too, but from https to https only. Only origins that the credential names are ever called, so that a domain of many
    owners gives nobody anything.
    """

    _kept: dict[tuple[str, str], Cookie] = field(default_factory=dict, repr=False)  # by who set it and by name

    def take(self, place: str, headers: Mapping[str, str]) -> None:
        """Take what an answer of an origin sets; what it deletes goes."""
        for one in cookies_of(headers):
            if one.gone:
                self._kept.pop((place, one.name), None)
            else:
                self._kept[place, one.name] = one

    def header(self, place: str) -> str:
        """Return the Cookie header for an origin; empty where it has none.

        Raises:
            SignInAgainError: it would be larger than a request can carry.
        """
        reached = {
            one.name: one.value for (by, _name), one in self._kept.items() if by != place and _reaches(by, one.domain, place)
        }
        own = {one.name: one.value for (by, _name), one in self._kept.items() if by == place}
        made = "; ".join(f"{name}={value}" for name, value in (reached | own).items())
        if len(made) > COOKIES_MAX:
            raise SignInAgainError("the login gives more cookies than a request can carry")
        return made


def _reaches(by: str, domain: str, place: str) -> bool:
    if "." not in domain or not (by.startswith("https://") and place.startswith("https://")):
        return False
    hosts = [origin(one)[1] for one in (by, place)]
    return all(host == domain or host.endswith(f".{domain}") for host in hosts) and not domain.replace(".", "").isdigit()
