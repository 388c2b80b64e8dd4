"""What shims and the nursery do when there is nothing to do: they give back the memory that they share again.

Idle is a loop that has waited for `QUIET` seconds and has no timer due before that; nothing is woken for it.
"""

from __future__ import annotations

import asyncio
import logging
import select
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from seaway_kernel.pages import Snapshot

log = logging.getLogger("seaway.shim")

QUIET = 2.0
"""Seconds without an event after which a process is idle. What it gives back costs some milliseconds to take anew,
which nobody who starts a container is to wait for.
"""


def loop(
    snapshot: Snapshot | None, watch: Callable[[selectors.BaseSelector], selectors.BaseSelector] | None = None
) -> asyncio.AbstractEventLoop:
    """An event loop that gives back to `snapshot` whenever it is idle; without one, a plain loop.

    `watch` is what its selector is put into.
    """

    def rest() -> None:
        if snapshot is not None and workers.dismiss():
            try:
                snapshot.give_back()
            except OSError as error:  # such as no descriptor left: next time
                log.warning("Cannot give back memory: %s", error)

    workers = Workers()
    selector = Selector(rest)
    made = asyncio.SelectorEventLoop(watch(selector) if watch else selector)
    made.set_default_executor(workers)
    return made


def wait(descriptor: int, snapshot: Snapshot) -> None:
    """Return when it is readable, for a process without a loop."""
    if not select.select([descriptor], [], [], QUIET)[0]:
        snapshot.give_back()
        select.select([descriptor], [], [])


class Selector(selectors.EpollSelector):
    """Calls `rest` once in each pause that is longer than `QUIET`."""

    def __init__(self, rest: Callable[[], object]) -> None:
        super().__init__()
        self._rest = rest
        self._rested = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class does."""
        if not self._rested and (timeout is None or timeout > QUIET):
            if ready := super().select(QUIET):
                return ready
            self._rested = True
            self._rest()
            timeout = None if timeout is None else timeout - QUIET
        ready = super().select(timeout)
        if timeout is None or timeout > 0:  # the loop waited, and whatever comes now writes to memory
            self._rested = False
        return ready


class Workers(ThreadPoolExecutor):
    """The loop's threads for blocking calls, which go home when there is nothing to do."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="seaway-shim")
        self._given: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the base class does."""
        future = super().submit(fn, *args, **kwargs)
        self._given = {each for each in self._given if not each.done()} | {future}
        return future

    def dismiss(self) -> bool:
        """End the threads if none of them has work; whether there is none left. Later work gets new ones."""
        if not all(each.done() for each in self._given):
            return False
        if self._given:
            self.shutdown()
            self.__init__()  # type: ignore[misc] # the loop knows this object
        return True
