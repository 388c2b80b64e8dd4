"""`seaway-supervisor`: the settings, the state, the bus, then everything there is on this host."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from seaway_bus import Bus, connect
from seaway_protocol import SUPERVISOR
from seaway_service import Lifecycle, run

from seaway_supervisor import VERSION, checking, figures, ground, logs, readings, reconcile
from seaway_supervisor.endpoints import Calls
from seaway_supervisor.event_disk import EventDisk
from seaway_supervisor.host import Host
from seaway_supervisor.images import Images
from seaway_supervisor.outbox import Outbox
from seaway_supervisor.readings import Readings
from seaway_supervisor.settings import LIVE, SupervisorSettings
from seaway_supervisor.store import Store
from seaway_supervisor.volumes import Volumes

_FAREWELL = 2.0
"""Seconds that work in the background is given at the end; the next life resumes what is left."""


async def serve(settings: SupervisorSettings, lifecycle: Lifecycle) -> None:
    """Until told to stop: answer, reconcile, publish."""
    bus = await connect(
        settings.bus_url,
        credentials=settings.credentials or None,
        name="supervisor",
        node=settings.node,
        on_lost=lambda why: lifecycle.stop(1),
    )
    lifecycle.metrics.add(bus.metrics)
    host = await make(settings, bus)
    lifecycle.metrics.add(functools.partial(figures.collect, host))
    lifecycle.on_reload(lambda new: setattr(host, "settings", new), *LIVE)
    host.outbox.start()
    served = await bus.serve(SUPERVISOR, Calls.endpoints.bind(Calls(host)), version=VERSION)
    settling = host.behind(_settle(host), "the reconciliation")
    lifecycle.ready(f"{len(host.records)} containers")
    await lifecycle.stopping.wait()
    settling.cancel()
    await served.stop()
    await host.finish_background(_FAREWELL)
    await host.outbox.stop()
    await host.images.close()
    host.readings.close()
    await host.store.close()
    await bus.close()


async def _settle(host: Host) -> None:
    await reconcile.reconcile(host)
    logs.resume(host)
    await checking.tidy(host)


async def make(settings: SupervisorSettings, bus: Bus) -> Host:
    """A host with its state read, before anything is served."""
    store = Store(settings.database)
    outbox = Outbox(store, bus, EventDisk(bus, Path(settings.bus_store)).refused)

    host = Host(
        settings=settings,
        bus=bus,
        store=store,
        outbox=outbox,
        images=Images(settings.images_dir, settings.images, outbox.announce, lambda: _images_in_use(host)),
        volumes=Volumes(settings.volumes_dir, outbox, lambda: _volumes_in_use(host)),
        readings=Readings(settings),
    )
    await host.images.open()
    ground.make(settings.ground_dir)
    reconcile.load(host)
    return host


def _images_in_use(host: Host) -> dict[str, list[tuple[str, bool]]]:
    """A container on its way out needs its image no more: what ran in it has ended, and its mounts with that."""
    used: dict[str, list[tuple[str, bool]]] = {}
    for record in host.records:
        used.setdefault(record.container.image_id, []).append((record.id, record.alive))
    return used


def _volumes_in_use(host: Host) -> dict[str, list[str]]:
    used: dict[str, list[str]] = {}
    for record in host.records:
        for name in {point.volume for point in record.container.mounts if point.volume}:
            used.setdefault(name, []).append(record.id)
    return used


def main() -> int:
    """The command line."""
    readings.prepare()
    return run("seaway-supervisor", VERSION, SupervisorSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
