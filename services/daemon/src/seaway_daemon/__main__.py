"""`seaway-daemon`: the Docker Engine API on its sockets, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial
from pathlib import Path

from seaway_bus import connect
from seaway_service import EXIT_CONFIG, Lifecycle, passed, run

from seaway_daemon import __version__
from seaway_daemon.conversation.keeper import Keeper
from seaway_daemon.conversations import TALKS
from seaway_daemon.engine import Engine
from seaway_daemon.figures import whole_host
from seaway_daemon.happenings import Happenings
from seaway_daemon.listening import CannotListen
from seaway_daemon.server import Server
from seaway_daemon.settings import LIVE, DaemonSettings

_LEAVE = 2.0
"""Seconds for taking leave of the bus."""


async def serve(settings: DaemonSettings, lifecycle: Lifecycle) -> None:
    """Join the bus, listen, answer."""
    bus = await connect(
        settings.bus_url,
        credentials=settings.credentials or None,
        name="daemon",
        node=settings.node,
        on_lost=lambda _: lifecycle.stop(1),
    )
    lifecycle.metrics.add(bus.metrics)
    happenings, keeper, given = Happenings(bus), Keeper(lifecycle.store), passed()
    engine = Engine(bus, happenings, settings, keeper, lifecycle.metrics)
    server = Server(engine)
    lifecycle.metrics.add(keeper.metrics)
    lifecycle.metrics.page = partial(whole_host, lifecycle.metrics, Path(settings.run_dir, "metrics"))
    lifecycle.on_reload(server.reload, *LIVE)
    try:
        happenings.start()
        places = await server.start(given)
        keeper.resume(given, {topic: partial(talk, engine) for topic, talk in TALKS.items()})
        lifecycle.ready(f"answering on {', '.join(places)}")
        await lifecycle.stopping.wait()
    except CannotListen as error:
        print(f"seaway-daemon: {error}", file=sys.stderr)
        lifecycle.stop(EXIT_CONFIG)
    finally:
        await server.stop()
        await keeper.hand_over()
        await happenings.stop()
        with contextlib.suppress(TimeoutError):  # a bus that is gone or frozen must not keep us
            await asyncio.wait_for(bus.close(), _LEAVE)


def main() -> None:
    """Entry point."""
    sys.exit(run("seaway-daemon", __version__, DaemonSettings, serve))


if __name__ == "__main__":
    main()
