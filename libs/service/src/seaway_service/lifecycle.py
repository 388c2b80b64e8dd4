"""A service's life as its service manager sees it (sd_notify(3)): starting, ready, reloading, stopping."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec

from seaway_service.descriptors import Store
from seaway_service.notify import Notifier
from seaway_service.scraping import Metrics
from seaway_service.settings import Settings, SettingsError

log = logging.getLogger("seaway.service")


class Lifecycle:
    """Readiness, status, watchdog, kept descriptors, metrics, new settings and the wish to stop.

    `stopping` is set by SIGTERM and SIGINT, or by `stop()`; `store` keeps descriptors over a restart; `metrics` is what
    this service can be asked for.
    """

    def __init__(self, service: str = "") -> None:
        self.stopping = asyncio.Event()
        self.exit_code = 0
        self._notifier = Notifier()
        self.store = Store(self._notifier)
        self.metrics = Metrics(service)
        self._settings = Settings()
        self._reread: Callable[[], Settings] | None = None
        self._live: list[tuple[frozenset[str], Callable[[Any], None]]] = []
        self._watchdog: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take over the signals; call once, in the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        if interval := int(os.environ.get("WATCHDOG_USEC", "0")):
            self._watchdog = loop.create_task(self._feed(interval / 2_000_000))

    def ready(self, status: str) -> None:
        """Everything is served: the units that wait for this one may go on."""
        self._notifier.tell(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._notifier.tell(f"STATUS={text}")

    def reloads(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        """Read the settings again at SIGHUP with `reread`; `settings` are those that hold now."""
        self._settings, self._reread = settings, reread

    def on_reload(self, apply: Callable[[Any], None], *keys: str) -> None:
        """Call `apply` at each SIGHUP with the settings that hold from now on.

        `keys` are those it takes over while running. What it raises is logged: then it has to have left everything
        as it was.
        """
        self._live.append((frozenset(keys), apply))

    def stop(self, exit_code: int = 0) -> None:
        """Begin to stop; the first exit code other than 0 stays."""
        self.exit_code = self.exit_code or exit_code
        self._notifier.tell("STOPPING=1")
        self.stopping.set()

    def _on_reload(self) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notifier.tell(f"RELOADING=1\nMONOTONIC_USEC={now}")
        try:
            if self._reread:
                self._take_over(self._reread())
        except SettingsError as error:
            log.error("%s; what was read before holds", str(error).capitalize())
        self._notifier.tell("READY=1")

    def _take_over(self, read: Settings) -> None:
        """Have what can change while running changed, and say what can't."""
        live = frozenset[str]().union(*(keys for keys, _ in self._live))
        changed = differing(self._settings, read)
        taken = {key: getattr(read, key) for key in changed & live}
        self._settings = msgspec.structs.replace(self._settings, **taken)
        for keys, apply in self._live:
            try:
                apply(self._settings)
            except Exception as error:
                log.error("Cannot reload %s: %s; what was before holds", ", ".join(sorted(keys)), error)
        if taken:
            log.info("Reloaded %s", ", ".join(sorted(taken)))
        if left := changed - live:
            log.warning("These settings change with the next restart, not before: %s", ", ".join(sorted(left)))
        if not changed:
            log.info("Reloaded; no setting has changed")

    async def _feed(self, seconds: float) -> None:
        # From the loop itself on purpose: a loop that is stuck must starve the watchdog.
        while True:
            self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(seconds)


def differing(one: Settings, other: Settings) -> set[str]:
    """The keys whose values differ."""
    names = (field.name for field in msgspec.structs.fields(one))
    return {name for name in names if getattr(one, name) != getattr(other, name)}
