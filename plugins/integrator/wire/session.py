"""Connections by aiohttp: TLS 1.2 or newer, verified; bounded in time and size; the checked address is the one connected to."""

from __future__ import annotations

import socket
import ssl
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from integrator.errors import EgressRefusedError, SourceBrokenError, StopRunError
from integrator.settings import Settings
from integrator.wire.egress import Egress, origin
from integrator.wire.message import Answer, LostError, NotSentError, Request

_CHUNK = 1 << 16  # bytes


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """Return the one TLS context: verified, 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _CheckedResolver(AbstractResolver):
    """Resolves a name and refuses addresses that the credential may not reach; aiohttp connects to what this returns."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(self._egress.address_allowed(one["host"]) for one in found):
            raise EgressRefusedError(
                f"credential {self._egress.conn_id}: {host} resolves to an address outside loopback and allowed networks; use https"
            )
        return found

    async def close(self) -> None:
        await self._inner.close()


class AiohttpTransport:
    """Fits `Transport`. One per credential and flow run."""

    def __init__(self, egress: Egress, settings: Settings) -> None:
        self._egress = egress
        self._max = settings.answer_max_mb << 20
        self._timeout = aiohttp.ClientTimeout(total=settings.answer_timeout_s, sock_connect=settings.connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            scheme, _host, _port = origin(self._egress.base_url)
            connector = aiohttp.TCPConnector(
                limit=0,  # the throttle bounds what is in flight
                ssl=tls() if scheme == "https" else False,
                resolver=_CheckedResolver(self._egress),
                keepalive_timeout=10,  # below the idle limit of common servers: a connection closed under a POST is a lost answer
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
                raise_for_status=False,
                auto_decompress=True,
            )
        return self._session

    async def send(self, request: Request) -> Answer:
        """Send once; foreign exceptions become ours here, without their text, which can hold a URL or more."""
        session = self._session or self._open()
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                body = await self._read(response)
                return Answer(response.status, response.headers, body)
        except EgressRefusedError:
            raise
        except aiohttp.ClientConnectorCertificateError:
            raise StopRunError(f"{self._egress.conn_id}: the server's certificate does not hold for this host") from None
        except aiohttp.ClientConnectorSSLError:
            raise StopRunError(f"{self._egress.conn_id}: no TLS 1.2 connection with this server") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, EgressRefusedError):
                raise cause from None
            raise NotSentError from None
        except (aiohttp.ClientError, TimeoutError, ConnectionError, EOFError):
            raise LostError from None
        except (aiohttp.InvalidURL, ValueError):
            raise StopRunError(f"{self._egress.conn_id}: the request's address or a header is not valid") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length > self._max:
            raise self._too_large()
        if length is not None and "Content-Encoding" not in response.headers:
            return await response.read()
        parts, size = [], 0
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > self._max:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> StopRunError:
        return SourceBrokenError(
            f"{self._egress.conn_id}: an answer is larger than {self._max >> 20} MiB ([integrator] answer_max_mb); ask for smaller pages"
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session: Any = self._session
            self._session = None
            await session.close()
