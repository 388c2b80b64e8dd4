"""The fleet service: `seaway-fleet --config FILE`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import seaway_bus
from seaway_protocol.fleet import EVERYONE, FLEET, Host
from seaway_service import Lifecycle, run

from seaway_fleet import __version__
from seaway_fleet.membership import MembershipEndpoints
from seaway_fleet.seeing import Seeing
from seaway_fleet.settings import FleetSettings
from seaway_fleet.tunnel import TunnelEndpoints
from seaway_fleet.upgrade.service import on_host


async def serve(settings: FleetSettings, lifecycle: Lifecycle) -> None:
    """Join the host's bus, and answer until told to stop."""
    async with await seaway_bus.connect(
        settings.bus_url,
        credentials=settings.credentials or None,
        name="fleet",
        node=settings.node,
        on_lost=lambda _: lifecycle.stop(1),
    ) as bus:
        lifecycle.metrics.add(bus.metrics)
        seeing = Seeing(bus, partial(_host, settings), settings.labels, Path(settings.state_dir))
        endpoints = (
            MembershipEndpoints.endpoints.bind(MembershipEndpoints(bus))
            | TunnelEndpoints.endpoints.bind(TunnelEndpoints(bus, settings.engine()))
            | Seeing.pages.bind(seeing)
        )
        await bus.serve(FLEET, endpoints, version=__version__)
        await bus.serve(EVERYONE, Seeing.everyone.bind(seeing), version=__version__)
        async with on_host(bus, settings.directory(), Path(settings.opt_dir), __version__):
            lifecycle.ready(f"Serving {settings.node}")
            await lifecycle.stopping.wait()


async def _host(settings: FleetSettings) -> Host:
    return Host(node=settings.node, labels=settings.labels)


def main() -> int:
    """Run the service; gives the exit code."""
    return run("seaway-fleet", __version__, FleetSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
