"""Starts a program that outlives this service: a transient unit of systemd's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from seaway_protocol.errors import Internal, Unsupported

_BOOTED = Path("/run/systemd/system")
"""It is there on a host that systemd has booted. Source: sd_booted(3)."""

_ALIVE = ("active", "activating", "deactivating", "reloading")


class Launcher(Protocol):
    """What starts programs by name, and knows whether they run."""

    async def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a program. Raises Unsupported where this host can't."""

    async def running(self, name: str) -> bool:
        """Whether the program of that name runs."""


class TransientUnits:
    """Programs as transient units, which need no unit file and leave none. Source: systemd-run(1)."""

    async def start(self, name: str, argv: Sequence[str]) -> None:
        """Start `<name>.service`. Raises Unsupported where systemd doesn't run this host, Internal where it refuses."""
        if not _BOOTED.is_dir():
            raise Unsupported("cannot upgrade this host: its services aren't systemd's units, but those of `seaway up`")
        # The program decides what ends with it (`mixed`), and may finish a step at the host's shutdown.
        properties = ("KillMode=mixed", "TimeoutStopSec=60", "OOMScoreAdjust=-500")
        options = [f"--property={each}" for each in properties]
        code, said = await _run("systemd-run", f"--unit={name}", "--collect", "--quiet", *options, "--", *argv)
        if code and not await self.running(name):
            raise Internal(f"cannot start {name}: {said}")

    async def running(self, name: str) -> bool:
        """Whether the unit runs."""
        if not _BOOTED.is_dir():
            return False
        _, said = await _run("systemctl", "show", "--property=ActiveState", "--value", f"{name}.service")
        return said in _ALIVE


async def _run(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace").strip()
