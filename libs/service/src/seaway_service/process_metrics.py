"""What every service tells of itself: version, memory, descriptors, processor time, and how long its loop was busy."""

from __future__ import annotations

import os
import resource
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seaway_service.metrics import Family, Histogram, counter, gauge

_HERTZ = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def process(version: str, proc: Path = Path("/proc/self")) -> Iterator[Family]:
    """The standard families of a process (proc_pid_stat(5), proc_pid_statm(5))."""
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    user, system, began = (int(fields[place]) / _HERTZ for place in (11, 12, 19))
    pages = (proc / "statm").read_text().split()
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    yield gauge("seaway_build_info", "The version that runs", 1, version=version)
    yield counter("process_cpu_seconds_total", "Processor time, user and system", user + system)
    yield gauge("process_resident_memory_bytes", "Memory in use", int(pages[1]) * _PAGE)
    yield gauge("process_virtual_memory_bytes", "Memory that is mapped", int(pages[0]) * _PAGE)
    yield gauge("process_open_fds", "Open descriptors", sum(1 for _ in (proc / "fd").iterdir()))
    yield gauge("process_max_fds", "Descriptors that may be open", limit)
    yield gauge("process_start_time_seconds", "When it began, Unix seconds", round(booted + began, 2))


class Turns:
    """How long the event loop was busy at a stretch: for that long, nobody else was served."""

    def __init__(self) -> None:
        self._took = Histogram(bounds=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0))
        self._began = 0.0

    def watch(self, selector: selectors.BaseSelector) -> selectors.BaseSelector:
        """The same selector, whose loop is watched."""
        return _Watched(selector, self._pause, self._begin)

    def families(self) -> Iterator[Family]:
        """One histogram."""
        doc = "How long the event loop was busy before it looked for what is new"
        yield Family("seaway_event_loop_turn_seconds", "histogram", doc, self._took.samples())

    def _begin(self) -> None:
        self._began = time.monotonic()

    def _pause(self) -> None:
        if self._began:
            self._took.observe(time.monotonic() - self._began)


class _Watched(selectors.BaseSelector):
    """Hands everything to another selector, and says when the loop comes and goes."""

    def __init__(self, inner: selectors.BaseSelector, pause: Callable[[], None], begin: Callable[[], None]) -> None:
        self._inner = inner
        self._pause = pause
        self._begin = begin

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._pause()
        ready = self._inner.select(timeout)
        self._begin()
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def close(self) -> None:
        self._inner.close()
