"""What the daemon counts: requests by route, conversations; and the metrics of the whole host on one page.

The services' own sockets are in `<run_dir>/metrics`, whose group the daemon is in: it need not be root to read them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from seaway_service import Metrics
from seaway_service.metrics import Counts, Family, Histogram, Sample, merged, text
from seaway_service.scraping import scrape

_ALWAYS = ("supervisor", "runtime", "network", "shim")
"""Services that every host has; others are those that have a socket."""

_PATIENCE = 5.0
"""Seconds that a service may take to answer; then the page says that it is down."""


class Requests:
    """Requests by method and route, as the table of routes has it: paths would be without end."""

    def __init__(self) -> None:
        self._took = Histogram("method", "route")
        self._answered = Counts("method", "route", "code")

    def answered(self, method: str, route: str, status: int, began: float) -> None:
        """Count one whose handler, begun at `began` of the monotonic clock, has just returned."""
        method = method if route else "other"
        self._took.observe(time.monotonic() - began, method, route)
        self._answered.add(method, route, str(status))

    def families(self) -> Iterator[Family]:
        """How many, and how long."""
        doc = "Requests that were answered, by route and status"
        yield Family("seaway_http_requests_total", "counter", doc, self._answered.samples())
        doc = "From a request's head to its answer, or to where its connection was taken over"
        yield Family("seaway_http_request_seconds", "histogram", doc, self._took.samples())


async def whole_host(own: Metrics, directory: Path) -> str:
    """Everybody's metrics, asked for side by side; `seaway_up` says who has answered."""
    found = {path.stem for path in directory.glob("[!.]*.sock")} - {own.service}
    names = sorted({*_ALWAYS, *found})
    told = await asyncio.gather(*(_of(directory / f"{name}.sock") for name in names))
    answers = dict(zip(names, told, strict=True))
    samples = [Sample({"service": name}, page is not None) for name, page in answers.items()]
    up = Family("seaway_up", "gauge", "Whether a service of this host has told its metrics", samples)
    return merged([await own.text(), *filter(None, answers.values()), text([up])])


async def _of(path: Path) -> str | None:
    try:
        return await scrape(path, _PATIENCE)
    except OSError:
        return None
