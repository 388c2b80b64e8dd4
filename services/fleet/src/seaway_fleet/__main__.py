"""The fleet service: `seaway-fleet --config FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import seaway_bus
from seaway_bus import Bus
from seaway_protocol.fleet import EVERYONE, FLEET
from seaway_service import Lifecycle, run

from seaway_fleet import __version__
from seaway_fleet.facts import Facts
from seaway_fleet.membership import MembershipEndpoints, Times
from seaway_fleet.place import Place
from seaway_fleet.registry import Registry
from seaway_fleet.seeing import Seeing
from seaway_fleet.servers import Servers
from seaway_fleet.settings import FleetSettings
from seaway_fleet.tunnel import TunnelEndpoints
from seaway_fleet.upgrade.service import leading, on_host


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
        place = Place(settings.directory())
        facts = Facts(bus, settings, place)
        membership = _membership(bus, settings, place, facts)
        seeing = Seeing(bus, facts, settings.labels, Path(settings.state_dir))
        endpoints = (
            MembershipEndpoints.endpoints.bind(membership)
            | TunnelEndpoints.endpoints.bind(TunnelEndpoints(bus, settings.engine()))
            | Seeing.pages.bind(seeing)
        )
        await bus.serve(FLEET, endpoints, version=__version__)
        await bus.serve(EVERYONE, Seeing.everyone.bind(seeing), version=__version__)
        async with on_host(bus, settings.directory(), Path(settings.opt_dir), __version__):
            await membership.begin()
            lifecycle.ready(f"Serving {settings.node}")
            await lifecycle.stopping.wait()
            await membership.end()


def _membership(bus: Bus, settings: FleetSettings, place: Place, facts: Facts) -> MembershipEndpoints:
    servers = Servers(settings.bus_directory(), settings.hub_directory(), settings.node)
    registry = Registry(bus)
    times = Times(settings.credential_seconds, settings.arrival_seconds)
    duties = (leading(bus, settings.directory(), registry.roster, __version__),)
    return MembershipEndpoints(bus, servers, place, facts, registry, times, duties)


def main() -> int:
    """Run the service; gives the exit code."""
    return run("seaway-fleet", __version__, FleetSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
