"""`GET /fleet/events`: what happens on all hosts, as it happens, and what has happened before.

Each host keeps its own events; what is published on one is heard on all controllers at once. Whatever is missed
on the way, because a host or its hub was away, is asked for once it is back: every `CATCHING_UP` seconds each host is
asked what happened lately, and one that didn't answer the last time, what happened since then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from seaway_bus import Occurrence
from seaway_protocol import fleet
from seaway_protocol.errors import Error
from seaway_protocol.fleet import AskEvents, Happened, HostEvents, Selection

from seaway_daemon.api.events import EVENTS, FILTERS, wanted
from seaway_daemon.api.filters import Filters
from seaway_daemon.api.operation import Parameter, Shape, operation
from seaway_daemon.api.request import Request, stream
from seaway_daemon.engine import Engine
from seaway_daemon.fleet.asking import ask_all, chosen, complete, controller, known
from seaway_daemon.fleet.parameters import HOSTS, REFUSALS, seconds, selection
from seaway_daemon.shapes.events import event, happened_at
from seaway_daemon.times import SECOND

log = logging.getLogger("seaway.daemon")

CATCHING_UP = 10.0
"""Seconds between two questions to all hosts, what was missed."""

LATE = 30 * SECOND
"""Nanoseconds that what is asked for overlaps: clocks differ, and what has just happened may still be on its way."""

WAITING = 10_000
"""Events that may wait for a client that reads slowly."""

KEPT = 50_000
"""Events that are remembered as told."""

_LAST = 5.0
"""Seconds for telling what waits when the time is up."""

HISTORY = 10.0
"""Seconds that hosts may take to look up what has happened."""

_BY_NAME = {each.name: each for each in EVENTS}


class FleetEvent(Shape, rename=None):
    """An event, in the words of `GET /events`, and the node it is of."""

    Node: str
    Type: str
    Action: str
    Actor: dict[str, Any]
    time: int
    timeNano: int  # noqa: N815 - Docker's spelling
    scope: str = "local"
    status: str = ""
    id: str = ""


@dataclass
class Teller:
    """What was told already, so that nothing is told twice, and until when each host's events are complete."""

    filters: Filters
    on: Selection
    since: int
    until: int
    nodes: frozenset[str] = frozenset()
    patience: float = HISTORY
    complete: dict[str, int] = field(default_factory=dict)
    _told: OrderedDict[tuple[str, str, str, int], None] = field(default_factory=OrderedDict)

    def lines(self, occurrences: Iterable[Occurrence]) -> bytes:
        """What has happened, between the two times, and wasn't told: JSON lines."""
        return b"".join(map(self.line, filter(self._within, occurrences)))

    def line(self, given: Occurrence) -> bytes:
        """What happens, as a JSON line, where it is wanted and wasn't told; hosts' clocks may differ from ours."""
        key = given.node, given.event.name, given.id, happened_at(given)
        if key in self._told or not self._meant(given.node):
            return b""
        self._told[key] = None
        if len(self._told) > KEPT:
            self._told.popitem(last=False)
        shape = {"Node": given.node, **event(given)}
        return msgspec.json.encode(shape) + b"\n" if wanted(shape, self.filters) else b""

    def _within(self, given: Occurrence) -> bool:
        at = happened_at(given)
        return at >= self.since and not (self.until and at > self.until)

    def _meant(self, node: str) -> bool:
        return node in self.nodes if self.on.labels or self.on.nodes else True


@operation(
    "Tell what happens on all hosts",
    answer=FleetEvent,
    lines=True,
    query=(
        Parameter("since", "begin at this time, Unix seconds or RFC 3339"),
        Parameter("until", "end at this time"),
        Parameter("follow", "go on with what happens; the default where there is no `since` and no `until`", "boolean"),
        Parameter("filters", "as in GET /events", "filters", choices=FILTERS),
        *HOSTS,
    ),
    refusals=REFUSALS,
)
async def events(request: Request) -> web.StreamResponse:
    """`GET /fleet/events`: lines of JSON. The order is that of arrival; each host's own events are in their order."""
    query = request.query
    since, until, begun = query.time("since"), query.time("until"), time.time_ns()
    follow = query.flag("follow", default=not since or until > begun) and not (until and until <= begun)
    teller = Teller(query.filters(*FILTERS), selection(query), since or (begun if follow else 0), until)
    teller.patience = seconds(query, HISTORY)
    await controller(request.engine)
    teller.nodes = await _nodes(request.engine, teller.on)
    response = stream("application/x-ndjson")
    async with contextlib.AsyncExitStack() as stack:
        # Listening begins before what has happened is asked for: nothing falls in between.
        live = await stack.enter_async_context(request.engine.bus.events(EVENTS, node="*")) if follow else None
        past = b"" if follow and not since else await _history(request.engine, teller, teller.since, until or begun)
        await response.prepare(request.http)
        await response.write(past)
        if live is not None:
            await _follow(request.engine, teller, live, response)
    await response.write_eof()
    return response


async def _follow(
    engine: Engine, teller: Teller, live: AsyncIterator[Occurrence], response: web.StreamResponse
) -> None:
    """Tell what happens, until the time is up, the client has gone, or it reads so slowly that it gets too far behind.

    Such a client is cut off: it asks again from the last event that it has read.
    """
    waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
    left = (teller.until - time.time_ns()) / SECOND if teller.until else None
    hearing = [
        asyncio.create_task(_hear(teller, live, waiting), name="events of the fleet"),
        asyncio.create_task(_catch_up(engine, teller, waiting), name="missed events"),
    ]
    writing = asyncio.create_task(_write(waiting, response), name="events to a client")
    try:
        ended, _ = await asyncio.wait((*hearing, writing), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not ended:  # the time is up: what is known by now is still told
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting.join(), _LAST)
    finally:
        for task in (*hearing, writing):
            task.cancel()
        outcomes = await asyncio.gather(*hearing, writing, return_exceptions=True)
    for error in outcomes:
        if isinstance(error, ConnectionError):
            raise error
        if isinstance(error, Exception):
            log.warning("The events of the fleet broke off: %s", error)


async def _hear(teller: Teller, live: AsyncIterator[Occurrence], waiting: asyncio.Queue[bytes]) -> None:
    async for occurrence in live:
        if line := teller.line(occurrence):
            _put(waiting, line)


async def _write(waiting: asyncio.Queue[bytes], response: web.StreamResponse) -> None:
    while True:
        await response.write(await waiting.get())
        waiting.task_done()


def _put(waiting: asyncio.Queue[bytes], lines: bytes) -> None:
    try:
        waiting.put_nowait(lines)
    except asyncio.QueueFull:
        raise ConnectionResetError("the client reads too slowly") from None


async def _catch_up(engine: Engine, teller: Teller, waiting: asyncio.Queue[bytes]) -> None:
    """Tell what was missed; a round that fails is made up for by the next."""
    asked = time.time_ns()
    while True:
        await asyncio.sleep(CATCHING_UP)
        now = time.time_ns()
        try:
            teller.nodes = await _nodes(engine, teller.on)
            if missed := await _history(engine, teller, asked - LATE, now):
                _put(waiting, missed)
            asked = now
        except Error as error:
            log.debug("What was missed can't be asked for now: %s", error.text)


async def _nodes(engine: Engine, on: Selection) -> frozenset[str]:
    """The hosts that are meant; events of others are passed over."""
    return frozenset(chosen(on, await known(engine)))


async def _history(engine: Engine, teller: Teller, since: int, until: int) -> bytes:
    """What happened between two times and wasn't told; of a host that hasn't answered lately, from when it had."""
    ask = AskEvents(on=teller.on, since=since, until=until)
    gathered = await ask_all(engine, fleet.events, ask, teller.patience)
    pages, errors = await complete(
        engine, gathered, fleet.more_events, lambda page: msgspec.structs.replace(ask, after=page.cursor)
    )
    before = [node for node in pages if teller.complete.get(node, since) < since]
    for node in before:
        pages[node] += await _earlier(engine, node, msgspec.structs.replace(ask, since=teller.complete[node]))
    for node in gathered.hosts:
        if node in pages and node not in errors:
            teller.complete[node] = until - LATE
        else:
            teller.complete.setdefault(node, since)
    found = [_occurrence(node, each) for node, of_host in pages.items() for page in of_host for each in page.events]
    return teller.lines(sorted((each for each in found if each), key=happened_at))


async def _earlier(engine: Engine, node: str, ask: AskEvents) -> list[HostEvents]:
    """What happened on a host while it was away."""
    pages: list[HostEvents] = []
    try:
        while not pages or pages[-1].more:
            pages.append(await engine.bus.call(fleet.more_events, ask, node=node))
            ask = msgspec.structs.replace(ask, after=pages[-1].cursor)
    except Error as error:
        log.debug("What happened on %s while it was away isn't known: %s", node, error.text)
    return pages


def _occurrence(node: str, given: Happened) -> Occurrence | None:
    """An event as it was when it happened; None for one that only a later version knows."""
    kind = _BY_NAME.get(given.event)
    if kind is None:
        return None
    try:
        payload = msgspec.convert(given.fields, kind.payload)
    except msgspec.ValidationError:
        return None
    return Occurrence(kind, payload, given.id, node, datetime.fromtimestamp(given.at / SECOND, UTC), None)
