"""The fleet's hub on this host: a second nats-server, that runs for as long as there is a configuration for it.

The fleet service writes and removes it; with systemd a path unit does what is done here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from seaway_bus.server import nats_server_path

from seaway_cli.stack.layout import Layout
from seaway_cli.stack.processes import Process, Program

LOOK = 0.1
"""Seconds between two looks."""


class HubProcess:
    """Keeps the hub running where there is to be one."""

    def __init__(self, layout: Layout, user: str | None) -> None:
        self._layout = layout
        self._user = user
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Look no more, and end it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._end()

    async def _follow(self) -> None:
        configuration = self._layout.hub / "nats-server.conf"
        while True:
            if configuration.exists() and self._process is None:
                self._process = Process(self._program(configuration), self._layout)
                self._process.start()
            elif not configuration.exists():
                await self._end()
            await asyncio.sleep(LOOK)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop()

    def _program(self, configuration: Path) -> Program:
        command = (str(nats_server_path()), "-c", str(configuration))
        return Program("hub", command, user=self._user, group=self._user, notifies=False)
