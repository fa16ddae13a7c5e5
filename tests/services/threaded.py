"""A web application with an event loop in a thread of its own, so that a test may run another one beside it."""

from __future__ import annotations

import asyncio
import ssl
import threading

from aiohttp import web


class Threaded:
    """Serves one application on loopback; what inherits it says which."""

    tls: ssl.SSLContext | None = None
    """Context of a server that speaks https."""
    port = 0
    """0 until it is started; after that it keeps its port, also over a stop and another start."""

    def application(self) -> web.Application:
        raise NotImplementedError

    def serve(self) -> None:
        """Start, and return once it answers."""
        ready = threading.Event()

        def run() -> None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

            async def up() -> None:
                self.runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.5)
                await self.runner.setup()
                site = web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=self.tls)
                await site.start()
                self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

            self.loop.run_until_complete(up())
            self.loop.call_soon(ready.set)  # not before it runs for good: a stop that came earlier would be lost
            self.loop.run_forever()
            self.loop.run_until_complete(self.runner.cleanup())
            self.loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
