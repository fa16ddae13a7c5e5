"""A credential made ready to be used: what it may reach, whom it trusts, and what signs its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import cast
from urllib.parse import parse_qsl

import msgspec

from integrator.auth.earning import Earner
from integrator.auth.manners import manners_of
from integrator.auth.none import NoneScheme
from integrator.auth.scheme import COMMON, Call, Earns, Scheme, scheme_of
from integrator.auth.signers import EarningSigner, PlainSigner
from integrator.auth.tokens import Tokens
from integrator.auth.waiting import Waiting
from integrator.errors import ConfigError
from integrator.model.credential import Credential
from integrator.model.hosts import Host, hosts_of
from integrator.model.project import Wants
from integrator.model.tokens import TokenKey
from integrator.registry import find
from integrator.settings import Settings
from integrator.wire.egress import Egress, networks
from integrator.wire.handshakes import Handshakes, Signing, Ways
from integrator.wire.headers import read_headers
from integrator.wire.lanes import Lane, LanesTransport
from integrator.wire.limits import Manners
from integrator.wire.message import Answer, Meter, Request, Transport
from integrator.wire.proxies import Proxies
from integrator.wire.sending import Sender
from integrator.wire.session import AiohttpTransport, Bounds
from integrator.wire.signing import Signer
from integrator.wire.throttle import Throttle
from integrator.wire.tls import Trust, pem

WHO = ("grant", "client_id", "consumer_key", "username", "assertion_issuer", "assertion_subject")
"""Fields that say who the client is, and for whom it asks: what was given to another one must not renew anything."""
SIGN_INS_AT_ONCE = 4
ASSERTIONS = ("assertion", "client_assertion")


async def no_call(request: Request) -> Answer:
    """Refuse: the scheme makes no calls of its own."""
    raise ConfigError("this scheme makes no calls of its own")


@dataclass(frozen=True, slots=True)
class Ready:
    """A credential made ready. Nothing of it prints.

    Attributes:
        bounds: what one exchange may take.
        manners: how it wants to be used.
        transport: makes its connections.
        signer: signs its calls; closing it signs out.
        call: sends a sign-in's own requests.
        signing: what signs its connections in; None where requests are signed.
        bounds: what one exchange may take.
    """

    credential: Credential
    scheme: Scheme = field(repr=False)
    egress: Egress
    trust: Trust = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    bounds: Bounds
    transport: Transport = field(repr=False)
    signer: Signer = field(repr=False)
    manners: Manners = field(repr=False)
    call: Call = field(repr=False, default=no_call)
    signing: Signing | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Around:
    """What a credential needs from outside to be made ready.

    Attributes:
        tokens: keeps tokens for all workers.
        hash_key: returns the key of the keyed hashes that tell settings apart.
        owner: this process, for whoever waits for its sign-in.
        wants: returns what a project wants, read anew; raises where that cannot be known, so that nothing is opened then.
        on_secret: told of every secret that comes up, so that logs can mask it.
        force: whether to sign in although the credential waits for a person.
    """

    settings: Settings
    tokens: Tokens
    hash_key: Callable[[], bytes]
    owner: str
    wants: Callable[[str], Wants]
    on_secret: Callable[[str], None] = lambda _secret: None
    force: bool = False


def make_ready(credential: Credential, around: Around, meter: Meter | None = None) -> Ready:
    """Return the credential ready for an event loop; it connects and signs in when it is first used.

    Raises:
        ConfigError: it cannot be used; the message names the field, or what its project does not allow.
        RunError: what its project wants cannot be read.
    """
    settings, scheme, manners = around.settings, scheme_of(credential), manners_of(credential)
    wants = around.wants(credential.project)
    refuse_unsafe(credential, wants)
    egress = egress_of(credential, scheme, settings, listed_by(wants, credential))
    trust, headers, proxies = trust_of(credential), headers_of(credential), Proxies.of(settings)
    if proxies.url:
        egress.allow_proxy(proxies.url, proxies.for_url)
    bounds, signing = Bounds.of(settings), _signing(credential, scheme, egress, headers, around)
    transport: Transport = AiohttpTransport(egress, bounds, trust, proxies)
    if signing is not None:
        transport = _lanes(signing, egress, bounds, trust, proxies)
    if getattr(scheme, "must_last", False) and not around.tokens.lasting:
        raise ConfigError(
            f"credential {credential.conn_id}: its tokens have to be kept, encrypted, and there is no key for it; set AIRFLOW__CORE__FERNET_KEY "
            "(scripts/run and integrator env make one)"
        )
    if not hasattr(scheme, "earn"):
        plain = PlainSigner(scheme, headers)
        return Ready(credential, scheme, egress, trust, headers, bounds, transport, plain, manners, signing=signing)
    earns = cast("Earns", scheme)
    sender = _sign_in_sender(egress, settings, trust, proxies, meter or Meter())
    call = caller(sender, egress, around.on_secret)
    earner = Earner(token_key(credential, around.hash_key()), earns, call, around.tokens, around.owner,
                    around.on_secret, force=around.force)  # fmt: skip
    signer = EarningSigner(earner, earns, egress, headers, sender.close)
    return Ready(credential, scheme, egress, trust, headers, bounds, transport, signer, manners, call)


def _lanes(signing: Signing, egress: Egress, bounds: Bounds, trust: Trust, proxies: Proxies) -> Transport:
    if egress.base_url.startswith("http:") and proxies.for_url(egress.base_url):
        raise ConfigError(
            f"credential {egress.conn_id}: a sign-in that holds for a connection does not pass a proxy over http; "
            "use https, through which the proxy hands one connection on, or name the host in [integrator] no_proxy"
        )
    return LanesTransport(egress, lambda: Lane(egress, bounds, trust, proxies), signing)


def _signing(credential: Credential, scheme: Scheme, egress: Egress, headers: dict[str, str], around: Around) -> Signing | None:
    if not hasattr(scheme, "handshake"):
        return None
    key = token_key(credential, around.hash_key())
    waits = Waiting(key, around.tokens, around.owner, force=around.force)
    return Signing(credential.conn_id, cast("Handshakes", scheme), headers, ways_of(credential, egress), waits)


def ways_of(credential: Credential, egress: Egress) -> Ways:
    """Return how the legs of a credential's sign-ins ask: where GET is needed, for the path that Test asks for."""
    path = str(credential.extra.get("test_path") or "").strip()
    return Ways(egress.at(path if path.startswith("/") else f"/{path}") if path else None)


def listed_by(wants: Wants, credential: Credential) -> tuple[Host, ...]:
    """Return the hosts that a project lists.

    Raises:
        ConfigError: what is kept of the list cannot be read, so that it lets nothing pass.
    """
    try:
        return hosts_of(wants.egress)
    except ValueError as fault:
        raise ConfigError(
            f"credential {credential.conn_id}: the egress list of project {credential.project} cannot be read: {fault}"
        ) from None


def refuse_unsafe(credential: Credential, wants: Wants) -> None:
    """Refuse, for a production project, whatever a credential may otherwise set to be less safe: that it uses http.

    Raises:
        ConfigError: it is set.
    """
    if wants.production and credential.plain_http:
        raise ConfigError(
            f"credential {credential.conn_id}: project {credential.project} is a production project, which refuses plain_http; "
            "use https and clear plain_http"
        )


def egress_of(credential: Credential, scheme: Scheme, settings: Settings, listed: Sequence[Host] = ()) -> Egress:
    """Return whom the credential may reach: its base URL and the URLs that its scheme names, within its project's list.

    Raises:
        ConfigError: one of them is not a URL that may be used.
    """
    reaches = getattr(scheme, "reaches", None)
    suffixes = suffixes_of(credential)
    more = reaches() if reaches else ()
    return Egress.of(credential, networks(settings.allowed_networks), more, suffixes, listed)


def suffixes_of(credential: Credential) -> list[str]:
    """Return the domains in which a base URL that an answer names may lie.

    Raises:
        ConfigError: one of them is none.
    """
    given = str(credential.extra.get("base_url_suffixes") or "").split(",")
    found = [one for one in (text.strip().lower().lstrip("*.") for text in given) if one]
    for one in found:
        if "." not in one and one != "localhost":
            raise ConfigError(
                f"credential {credential.conn_id}: base_url_suffixes holds domains, such as my.example.com, not {one!r}"
            )
    return found


def refuse_outside(credential: Credential, settings: Settings, wants: Wants) -> None:
    """Refuse a credential that cannot be used as it is, by itself or in its project. Nothing is connected to.

    Raises:
        ConfigError: the message says why.
    """
    manners_of(credential)
    refuse_unsafe(credential, wants)
    egress_of(credential, scheme_of(credential), settings, listed_by(wants, credential))


def trust_of(credential: Credential) -> Trust:
    """Return whom the credential trusts, and its client certificate.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    given = {
        name: str(credential.extra.get(name) or "").strip()
        for name in ("ca_certificate", "client_certificate", "client_private_key")
    }
    try:
        blocks = {name: pem(name, text) if text else "" for name, text in given.items()}
        if blocks["client_private_key"] and not blocks["client_certificate"]:
            raise ValueError("client_private_key needs client_certificate beside it")
        password = str(credential.extra.get("client_private_key_password") or "")
        trust = Trust(blocks["ca_certificate"], blocks["client_certificate"], blocks["client_private_key"], password)
        trust.context()
    except ValueError as fault:
        raise ConfigError(f"credential {credential.conn_id}: {fault}") from None
    return trust


def headers_of(credential: Credential) -> dict[str, str]:
    """Return the headers that every call carries.

    Raises:
        ConfigError: they cannot be read; their values are not shown.
    """
    text = credential.extra.get("headers_secret") or ""
    try:
        return read_headers("headers_secret", text)
    except ValueError as fault:
        raise ConfigError(f"credential {credential.conn_id}: {fault}") from None


def token_key(credential: Credential, hash_key: bytes) -> TokenKey:
    """Return whose token it is, so that one that was earned with other settings is told apart."""
    kind = find("scheme", credential.scheme)
    names = [one.name for one in kind.FIELDS] + [one.name for one in COMMON if one.where or one.secret or "client" in one.name]
    where = [one.name for one in (*kind.FIELDS, *COMMON) if one.where]

    def hashed(which: list[str]) -> str:
        values = [
            credential.scheme,
            credential.base_url.rstrip("/"),
            *([name, str(credential.extra.get(name) or "")] for name in which),
        ]
        return blake2b(msgspec.json.encode(values), key=hash_key, digest_size=16).hexdigest()

    return TokenKey(credential.conn_id, hashed(names), hashed([*where, *WHO]))


def caller(sender: Sender, egress: Egress, on_secret: Callable[[str], None]) -> Call:
    """Return what sends a sign-in's own requests: to a path below the base URL, or to a URL that the credential names.

    Assertions that such a request carries are made anew for each, so that nobody else could tell logs to mask them.
    """

    async def call(request: Request) -> Answer:
        if request.body is not None and b"assertion=" in request.body:
            for name, value in parse_qsl(request.body.decode("utf-8", "replace")):
                if name in ASSERTIONS:
                    on_secret(value)
        url = egress.base_url + request.url if request.url.startswith("/") else request.url
        return await sender.send(msgspec.structs.replace(request, url=url))

    return call


def _sign_in_sender(egress: Egress, settings: Settings, trust: Trust, proxies: Proxies, meter: Meter) -> Sender:
    transport = AiohttpTransport(egress, Bounds.of_sign_in(settings), trust, proxies)
    throttle = Throttle(SIGN_INS_AT_ONCE, SIGN_INS_AT_ONCE)
    signer = PlainSigner(NoneScheme(), {})
    return Sender(egress.conn_id, transport, signer, throttle, meter, settings, signs_in=True)
