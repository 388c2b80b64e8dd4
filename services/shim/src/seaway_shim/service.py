"""The nursery as a service. It forks the template first: before there is a loop, a thread or a connection."""

from __future__ import annotations

import asyncio
import functools
import resource

from seaway_bus import connect
from seaway_protocol.shim import NURSERY
from seaway_service import Lifecycle, logs
from seaway_service import run as run_service

from seaway_shim import __version__, idle
from seaway_shim.nursery import Nursery
from seaway_shim.settings import ShimSettings
from seaway_shim.template import Template


def run() -> int:
    """Run until told to stop; the shims don't."""
    logs.configure("warning", "", "seaway-shim")  # the shims'; the nursery's own is as its settings say
    template = Template.start()
    try:
        loop = functools.partial(idle.loop, template.snapshot)
        return run_service("seaway-shim", __version__, ShimSettings, functools.partial(serve, template), loop=loop)
    finally:
        template.close()


async def serve(template: Template, settings: ShimSettings, lifecycle: Lifecycle) -> None:
    """Answer NURSERY."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each container takes six descriptors
    nursery = Nursery(settings, template)
    # A template can only be forked by a process without a loop: when it dies, so do we, to be started afresh.
    asyncio.get_running_loop().add_reader(template, lifecycle.stop, 1)
    async with await connect(
        settings.bus_url,
        credentials=settings.credentials or None,
        name="nursery",
        node=settings.node,
        on_lost=lambda _: lifecycle.stop(1),
    ) as bus:
        nursery.bus = bus
        lifecycle.metrics.add(bus.metrics)
        lifecycle.metrics.add(nursery.metrics)
        await bus.serve(NURSERY, Nursery.endpoints.bind(nursery), version=__version__)
        nursery.take_over()
        lifecycle.ready("forking shims")
        await lifecycle.stopping.wait()
