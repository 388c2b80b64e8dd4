"""Serves the API on its sockets, and stops without cutting off what is nearly done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from aiohttp import web
from seaway_service import Passed

from seaway_daemon import listening
from seaway_daemon.app import App
from seaway_daemon.engine import Engine
from seaway_daemon.hijack import Connection
from seaway_daemon.settings import DaemonSettings
from seaway_daemon.tls import Tls

log = logging.getLogger("seaway.daemon")

_LIMITS = {
    "max_line_size": 32 * 1024,  # of the request line: filters can be long
    "max_field_size": 64 * 1024,  # of a header: X-Registry-Config carries many logins
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,
}


class Server:
    """The HTTP server of one daemon."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._certificates: listening.Certificates | None = None
        self._http = web.Server(App(engine), handler_cancellation=True)
        self._servers: list[asyncio.Server] = []
        self._own: list[tuple[Path, int]] = []

    async def start(self, passed: Iterable[Passed] = ()) -> list[str]:
        """Listen on every socket that was passed to us, else on our own; where. Raises CannotListen."""
        self._engine.audit.start()
        places, settings = [], self._engine.settings
        sockets = listening.listeners(passed)
        for each in sockets:
            await self._serve_unix(each)
            places.append(each.getsockname())
        if not sockets:
            for path in settings.socket_paths():
                await self._serve_unix(listening.unix(path, settings.socket_mode, settings.socket_group))
                self._own.append((path, path.stat().st_ino))
                places.append(str(path))
        if tcp := listening.tls(settings):
            host, port, self._certificates = tcp
            secured = partial(Tls, self._connection, self._certificates)
            self._servers.append(await asyncio.get_running_loop().create_server(secured, host, port))
            places.append(f"{settings.tcp} (mutual TLS)")
        return places

    def reload(self, settings: DaemonSettings) -> None:
        """Go on with these settings; new connections get the certificates that the files have now. Raises CannotListen.

        Connections that are open stay as they are.
        """
        if self._certificates:
            self._certificates.renew(settings)
        self._engine.settings = settings

    async def _serve_unix(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._connection, sock=listener, backlog=1024))

    def _connection(self) -> Connection:
        access = {} if self._engine.settings.access_log else {"access_log": None}
        return Connection(self._http, loop=asyncio.get_running_loop(), **_LIMITS, **access)

    async def stop(self) -> None:
        """Take no new connections, and give what is being answered a short time to end."""
        for server in self._servers:
            server.close()
        for path, inode in self._own:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:  # another daemon's, which replaced it, stays
                    path.unlink()
        for connection in self._http.connections:
            connection.close()  # which ends the idle ones at once; shutdown would wait for their next request
        # aiohttp waits this long for the handlers, then as long again for those it has told, then cancels them.
        await self._http.shutdown(self._engine.settings.stop_seconds / 2)
        await self._engine.audit.stop()
