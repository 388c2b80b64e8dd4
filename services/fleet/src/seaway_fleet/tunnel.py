"""The way to this host's Engine API, for daemons of other hosts."""

from __future__ import annotations

from pathlib import Path

from seaway_bus import Bus, Endpoints
from seaway_protocol import fleet
from seaway_protocol.errors import Unsupported
from seaway_protocol.fleet import Dial
from seaway_protocol.kinds import Empty


class TunnelEndpoints:
    """Connects flows to the engine's socket."""

    endpoints = Endpoints()

    def __init__(self, bus: Bus, engine: Path) -> None:
        self._bus = bus
        self._engine = engine

    @endpoints.on(fleet.dial)
    async def dial(self, request: Dial) -> Empty:
        """Open one connection."""
        raise Unsupported(f"cannot connect {request.actor} to {self._engine}: not supported yet")
