"""Connections by aiohttp: TLS 1.2 or newer, verified; bounded in time and size; the checked address is the one connected to."""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass
from typing import Any, ClassVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from integrator.errors import EgressRefusedError, SourceBrokenError, StopRunError
from integrator.settings import Settings
from integrator.wire.egress import Egress
from integrator.wire.message import Answer, LostError, NotSentError, Request
from integrator.wire.proxies import NO_PROXIES, Proxies
from integrator.wire.tls import NO_TRUST, Trust, alert_in, why_not_trusted

_CHUNK = 1 << 16  # bytes
_AT_ONCE = 1 << 19  # bytes of the largest body that is written in one go; a larger one would hold everybody else up
KEPT_S = 10.0
"""How long an idle connection is kept: below the idle limit of common servers, since one closed under a POST is a lost answer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one exchange may take.

    Attributes:
        answer_bytes: largest answer, decompressed.
        answer_s: from sending to the answer's last byte.
        connect_s: until there is a connection.
    """

    answer_bytes: int
    answer_s: float
    connect_s: float

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds of a system's calls."""
        return cls(settings.answer_max_mb << 20, settings.answer_timeout_s, settings.connect_timeout_s)

    @classmethod
    def of_sign_in(cls, settings: Settings) -> Bounds:
        """Return the bounds of calls that earn tokens: small answers, and soon."""
        return cls(1 << 20, min(settings.answer_timeout_s, 30.0), settings.connect_timeout_s)


class CheckedResolver(AbstractResolver):
    """Resolves a name and refuses addresses that the credential may not reach; aiohttp connects to what this returns."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a host, all of them checked."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            self._egress.refuse_address(host, port, one["host"])
        return found

    async def close(self) -> None:
        """Give the inner resolver back."""
        await self._inner.close()


class AiohttpTransport:
    """Fits `Transport`. One per credential and flow run.

    Args:
        egress: who may be reached.
        bounds: what one exchange may take.
        trust: whom to trust beside the public authorities, and with which certificate of our own.
        proxies: which calls go through a proxy.
        connections: most connections; 0 where the throttle bounds what is in flight.
    """

    CONNECTOR: ClassVar[type[aiohttp.TCPConnector]] = aiohttp.TCPConnector

    def __init__(
        self,
        egress: Egress,
        bounds: Bounds,
        trust: Trust = NO_TRUST,
        proxies: Proxies = NO_PROXIES,
        *,
        connections: int = 0,
    ) -> None:
        self._egress, self._bounds, self._trust, self._proxies = egress, bounds, trust, proxies
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def connector(self) -> aiohttp.TCPConnector:
        """Return what makes the connections."""
        return self.CONNECTOR(
            limit=self._connections,
            ssl=self._trust.context(),
            resolver=CheckedResolver(self._egress),
            keepalive_timeout=KEPT_S,
        )

    def opened(self) -> aiohttp.ClientSession:
        """Return the session that the calls are sent with."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self.connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._bounds.answer_s, sock_connect=self._bounds.connect_s),
                trust_env=False,
                raise_for_status=False,
                auto_decompress=True,
            )
        return self._session

    async def send(self, request: Request) -> Answer:
        """Send once; foreign exceptions become ours here, without their text, which can hold a URL or more."""
        session = self._session or self.opened()
        self._egress.refuse_url(request.url)
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body if len(request.body or b"") <= _AT_ONCE else io.BytesIO(request.body or b""),
                headers=request.headers,
                allow_redirects=False,
                proxy=self._proxies.for_url(request.url),
            ) as response:
                return await self.received(response)
        except EgressRefusedError:
            raise
        except aiohttp.ClientHttpProxyError as error:
            raise NotSentError(f"the proxy refuses to pass it on ({error.status})") from None
        except aiohttp.ClientProxyConnectionError:
            raise NotSentError("the proxy cannot be reached; is [integrator] proxy right?") from None
        except aiohttp.ClientConnectorDNSError as error:
            raise self._refused_address(error) or NotSentError("its host name is not known; is the base URL right?") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise StopRunError(f"{self._egress.conn_id}: {why_not_trusted(error.certificate_error)}") from None
        except aiohttp.ClientConnectorSSLError as error:
            raise StopRunError(f"{self._egress.conn_id}: {why_not_trusted(error)}") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            slow = isinstance(error, aiohttp.ConnectionTimeoutError)
            why = f"no connection within {self._bounds.connect_s:g} s; may this machine reach it?" if slow else None
            raise self._refused_address(error) or (NotSentError(why) if why else NotSentError()) from None
        except (aiohttp.ClientError, TimeoutError, ConnectionError, EOFError) as error:
            alert = alert_in(error)  # with TLS 1.3 it comes after our side's handshake, and in place of an answer
            if alert is not None:
                raise StopRunError(f"{self._egress.conn_id}: {alert}") from None
            raise LostError from None
        except (aiohttp.InvalidURL, ValueError):
            raise StopRunError(f"{self._egress.conn_id}: the request's address or a header is not valid") from None

    @staticmethod
    def _refused_address(error: BaseException) -> EgressRefusedError | None:
        cause = error.__cause__ or error.__context__
        return cause if isinstance(cause, EgressRefusedError) else None

    async def received(self, response: aiohttp.ClientResponse) -> Answer:
        """Return a whole answer, read within its bounds."""
        return Answer(response.status, response.headers, await self._read(response))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length, most = response.content_length, self._bounds.answer_bytes
        if length is not None and length > most:
            raise too_large(self._egress.conn_id, most)
        if length is not None and "Content-Encoding" not in response.headers:
            return await response.read()
        parts, size = [], 0
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > most:
                raise too_large(self._egress.conn_id, most)
            parts.append(part)
        return b"".join(parts)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session: Any = self._session
            self._session = None
            await session.close()


def too_large(name: str, most: int) -> StopRunError:
    """Return what is raised for an answer that holds more bytes than it may."""
    return SourceBrokenError(
        f"{name}: an answer is larger than {most >> 20} MiB ([integrator] answer_max_mb); ask for smaller pages"
    )
