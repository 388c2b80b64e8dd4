"""The network service: `seaway-network --config FILE`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import seaway_bus
from seaway_bus import Bus
from seaway_protocol.network import NETWORK
from seaway_service import Lifecycle, passed, run

from seaway_network import __version__, figures
from seaway_network.announcements import Announcements
from seaway_network.audit import Audit
from seaway_network.endpoints import NetworkEndpoints
from seaway_network.host import Host
from seaway_network.kept_sockets import KeptSockets
from seaway_network.networks import Networks
from seaway_network.reconcile import reconcile
from seaway_network.sandboxes import Sandboxes
from seaway_network.settings import NetworkSettings
from seaway_network.store import Store


async def serve(settings: NetworkSettings, lifecycle: Lifecycle) -> None:
    """Settle with the kernel, answer until told to stop, and leave everything in the kernel as it is."""
    if os.geteuid() != 0:
        raise PermissionError("cannot serve networks: not root (CAP_NET_ADMIN and CAP_SYS_ADMIN are needed)")
    os.umask(0o077)
    store = Store(Path(settings.state_dir) / "network" / "ipam.db")
    host = Host(settings.table, settings.spares)
    announcements = Announcements(store)
    networks = Networks(settings, store, host)
    kept = KeptSockets(lifecycle.store, passed())
    sandboxes = Sandboxes(settings, store, host, networks, kept, announcements.add)
    lifecycle.metrics.add(partial(figures.families, networks, sandboxes))
    audit = Audit(store, host, networks, sandboxes, settings.prefix)
    try:
        host.refill()
        for made in await reconcile(store, host, networks, sandboxes, settings.prefix):
            announcements.add("created", made)
        await sandboxes.serve_names()
        await _answer(
            settings,
            lifecycle,
            lambda bus: NetworkEndpoints(bus, networks, sandboxes, announcements, audit),
            announcements,
        )
    finally:
        sandboxes.close()
        host.close()
        store.close()


async def _answer(
    settings: NetworkSettings,
    lifecycle: Lifecycle,
    handlers: Callable[[Bus], NetworkEndpoints],
    announcements: Announcements,
) -> None:
    bus = await _join(settings, lifecycle)
    if bus is None:
        return
    lifecycle.metrics.add(bus.metrics)
    async with bus:
        await bus.serve(NETWORK, NetworkEndpoints.endpoints.bind(handlers(bus)), version=__version__)
        telling = asyncio.create_task(announcements.tell(bus))
        lifecycle.ready(f"Serving {settings.node}")
        await lifecycle.stopping.wait()
        await _end(telling)


async def _join(settings: NetworkSettings, lifecycle: Lifecycle) -> Bus | None:
    """The bus, or None where the service is to stop before there is one."""
    joining = asyncio.create_task(
        seaway_bus.connect(
            settings.bus_url,
            credentials=settings.credentials or None,
            name="network",
            node=settings.node,
            on_lost=lambda _: lifecycle.stop(1),
        )
    )
    stopping = asyncio.create_task(lifecycle.stopping.wait())
    await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await _end(stopping)
    if joining.done():
        return joining.result()
    await _end(joining)
    return None


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel until it is so: a cancellation that meets a finished wait_for() is lost in Python 3.11."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)


def main() -> int:
    """Run the service; gives the exit code."""
    return run("seaway-network", __version__, NetworkSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
