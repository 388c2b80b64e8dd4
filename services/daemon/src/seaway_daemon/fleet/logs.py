"""`GET /fleet/logs`: the logs of many containers, on whichever hosts, as one stream of lines.

Each log is read from its own host's engine, over a connection of its own (`dialling`), so that whoever may not read it
there may not read it here.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from dataclasses import dataclass

import aiohttp
import msgspec
from aiohttp import web
from seaway_protocol import fleet
from seaway_protocol.errors import Error, InvalidArgument
from seaway_protocol.fleet import AskContainers, ContainerBrief
from seaway_protocol.supervisor import ContainerHappened, container_started

from seaway_daemon.api.filters import Filters
from seaway_daemon.api.operation import Parameter, Shape, operation
from seaway_daemon.api.query import Query
from seaway_daemon.api.request import Request, stream
from seaway_daemon.api.selection import STATUSES
from seaway_daemon.engine import Engine
from seaway_daemon.fleet.asking import SECONDS, ask_all, complete
from seaway_daemon.fleet.dialling import Way
from seaway_daemon.fleet.parameters import HOSTS, REFUSALS, seconds, selection
from seaway_daemon.fleet.seeing import CONTAINER_FILTERS
from seaway_daemon.framing import RAW
from seaway_daemon.times import SECOND, to_nanoseconds

MOST = 500
"""Logs that are read at a time."""

_WAITING = 256
"""Lines that may wait for a client that reads slowly."""

_LONGEST = 1024 * 1024
"""Bytes of a line; what is longer is told in pieces."""

_HEADER = struct.Struct(">BxxxL")
_STREAMS = {1: "stdout", 2: "stderr"}


class LogLine(Shape):
    """A line of a container's log. `Stream` is stdout, stderr, or error, where `Line` says why there is no more."""

    node: str
    container: str = ""
    id: str = ""
    stream: str = "stdout"
    time: str = ""
    line: str = ""


@dataclass(frozen=True)
class Source:
    """A container whose log is read."""

    node: str
    id: str
    name: str

    def line(self, stream: str, time: str, text: str) -> LogLine:
        """One line of it."""
        return LogLine(node=self.node, container=self.name, id=self.id, stream=stream, time=time, line=text)


@operation(
    "Read the logs of many containers",
    answer=LogLine,
    lines=True,
    query=(
        Parameter("filters", "which containers, as in GET /fleet/containers", "filters", choices=CONTAINER_FILTERS),
        Parameter("container", "a container by name or id; may be given several times", many=True),
        Parameter("all", "those that don't run, too", "boolean"),
        Parameter("follow", "go on with what is written, also by containers started later", "boolean"),
        Parameter("tail", "so many last lines of each, or all"),
        Parameter("since", "begin at this time, Unix seconds or RFC 3339"),
        Parameter("until", "end at this time"),
        *HOSTS,
    ),
    refusals=REFUSALS,
)
async def logs(request: Request) -> web.StreamResponse:
    """`GET /fleet/logs`: in the order of time; where they are followed, in that of arrival."""
    wish = Wish.of(request.query)
    sources, failures, nodes = await _chosen(request.engine, wish, seconds(request.query, SECONDS))
    if len(sources) > MOST:
        raise InvalidArgument(f"cannot read {len(sources)} logs at a time: {MOST} is the most; choose fewer containers")
    response = stream("application/x-ndjson")
    await response.prepare(request.http)
    async with _ways(request) as ways:
        reading = Reading(wish, ways)
        lines = reading.followed(sources, request.engine, nodes) if wish.follow else merged(map(reading.lines, sources))
        for failure in failures:
            await response.write(_encoded(failure))
        async with contextlib.aclosing(lines):
            async for line in lines:
                await response.write(_encoded(line))
    await response.write_eof()
    return response


def _encoded(line: LogLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    ask: AskContainers
    named: tuple[str, ...]
    follow: bool
    parameters: dict[str, str]
    """Those of a single container's log."""

    @classmethod
    def of(cls, query: Query) -> Wish:
        """Read strictly, before anything is said."""
        filters = query.filters(*CONTAINER_FILTERS)
        for name in ("since", "until"):
            query.time(name)
        given = {name: query.text(name) for name in ("tail", "since", "until") if query.text(name)}
        named = tuple(each.removeprefix("/") for each in query.texts("container"))
        ask = AskContainers(
            on=selection(query),
            all=query.flag("all") or bool(named),
            labels=filters.values_of("label"),
            names=tuple(each.removeprefix("/") for each in filters.values_of("name")),
            images=filters.values_of("ancestor"),
            statuses=filters.one_of("status", STATUSES),
        )
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", **given}
        return cls(ask, named, query.flag("follow"), parameters)

    def names(self, id: str, name: str) -> bool:
        """Whether a container is one of those named, where any are."""
        return not self.named or any(each == name or (len(each) >= 4 and id.startswith(each)) for each in self.named)

    def takes_started(self, id: str, happened: ContainerHappened) -> bool:
        """Whether one that was started just now belongs to them."""
        ask, image = self.ask, happened.image
        return (
            (not ask.statuses or "running" in ask.statuses)
            and Filters({"label": ask.labels}).labelled(happened.labels)
            and (not ask.names or any(each in happened.name for each in ask.names))
            and (not ask.images or any(each in (image, image.rpartition(":")[0]) for each in ask.images))
            and self.names(id, happened.name)
        )


async def _chosen(engine: Engine, wish: Wish, patience: float) -> tuple[list[Source], list[LogLine], Collection[str]]:
    """The containers that are meant, who couldn't say what it has, and the hosts that were asked."""
    ask = wish.ask
    gathered = await ask_all(engine, fleet.containers, ask, patience)
    pages, errors = await complete(
        engine,
        gathered,
        fleet.more_containers,
        lambda page: msgspec.structs.replace(ask, after=page.containers[-1].id),
    )
    found = [(node, each) for node, of_host in pages.items() for page in of_host for each in page.containers]
    sources = [_source(node, each) for node, each in found if wish.names(each.id, each.name)]
    silent = dict.fromkeys(gathered.missing, "no answer from this host")
    failures = [LogLine(node=node, stream="error", line=why) for node, why in {**errors, **silent}.items()]
    return sources, failures, gathered.hosts


def _source(node: str, given: ContainerBrief) -> Source:
    return Source(node, given.id, given.name)


@contextlib.asynccontextmanager
async def _ways(request: Request) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
    """HTTP sessions to hosts, made when they are used first."""
    made: dict[str, Way] = {}

    class Ways(dict[str, aiohttp.ClientSession]):
        def __missing__(self, node: str) -> aiohttp.ClientSession:
            made[node] = Way(request.engine.bus, node, request.actor)
            self[node] = made[node].session
            return made[node].session

    try:
        yield Ways()
    finally:
        await asyncio.gather(*(way.close() for way in made.values()))


class Reading:
    """Reads logs from their hosts."""

    def __init__(self, wish: Wish, ways: dict[str, aiohttp.ClientSession]) -> None:
        self._wish = wish
        self._ways = ways

    async def lines(self, source: Source, since: str = "") -> AsyncGenerator[LogLine]:
        """One container's lines; where they can't be read, or no further, why."""
        follow = {"follow": "1"} if self._wish.follow else {}
        parameters = {**self._wish.parameters, **follow, **({"since": since, "tail": "all"} if since else {})}
        try:
            url = f"http://{source.node}/containers/{source.id}/logs"
            async with self._ways[source.node].get(url, params=parameters) as answer:
                if answer.status != 200:
                    yield source.line("error", "", await _refusal(answer))
                    return
                raw = answer.headers.get("Content-Type") == RAW
                async for channel, line in _split(answer.content, framed=not raw):
                    at, _, text = line.partition(" ")
                    yield source.line(_STREAMS.get(channel, "stdout"), at, text)
        except (Error, aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            reason = error.text if isinstance(error, Error) else "the connection to its host broke off"
            yield source.line("error", "", f"cannot read on: {reason}")

    async def followed(
        self, sources: Iterable[Source], engine: Engine, nodes: Collection[str]
    ) -> AsyncGenerator[LogLine]:
        """All of them as they come, and those of containers that are started meanwhile on one of the `nodes`."""
        arrived: asyncio.Queue[LogLine] = asyncio.Queue(_WAITING)
        following = _Following(self, arrived)
        watching = asyncio.create_task(self._watch(following, engine, nodes), name="started containers")
        try:
            for source in sources:
                following.begin(source)
            while True:
                yield await arrived.get()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await following.end()

    async def _watch(self, following: _Following, engine: Engine, nodes: Collection[str]) -> None:
        async with engine.bus.events((container_started,), node="*") as happening:
            async for each in happening:
                assert isinstance(each.payload, ContainerHappened)
                if each.node in nodes and self._wish.takes_started(each.id, each.payload):
                    following.begin(Source(each.node, each.id, each.payload.name), each.payload.at)


class _Following:
    """The logs that are followed. One that ends, because its container did, begins again with its next start."""

    def __init__(self, reading: Reading, arrived: asyncio.Queue[LogLine]) -> None:
        self._reading = reading
        self._arrived = arrived
        self._tasks: dict[Source, asyncio.Task[None]] = {}
        self._again: dict[Source, int] = {}

    def begin(self, source: Source, since: int = 0) -> None:
        """Follow a log from a time on, nanoseconds; one that still is, once it has ended."""
        if source in self._tasks:
            self._again[source] = since
        elif len(self._tasks) < MOST:
            self._tasks[source] = asyncio.create_task(self._follow(source, since), name=f"log {source.id[:12]}")

    async def _follow(self, source: Source, since: int) -> None:
        last = 0
        try:
            while True:
                told = last
                begin = f"{since // SECOND}.{since % SECOND:09}" if since else ""
                async with contextlib.aclosing(self._reading.lines(source, begin)) as lines:
                    async for line in lines:
                        last = max(last, at := _at(line))
                        if not told or at > told or not line.time:  # else it was told before the restart
                            await self._arrived.put(line)
                if not (since := self._again.pop(source, 0)):
                    return
        finally:
            del self._tasks[source]

    async def end(self) -> None:
        """Follow none any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def merged(logs: Iterable[AsyncGenerator[LogLine]]) -> AsyncGenerator[LogLine]:
    """The lines of all logs in the order of their times; what has none comes at once."""
    sources = list(logs)
    try:
        first = await asyncio.gather(*(anext(source, None) for source in sources))
        heads = [(_at(line), place, line) for place, line in enumerate(first) if line]
        heapq.heapify(heads)
        while heads:
            _, place, line = heads[0]
            yield line
            following = await anext(sources[place], None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (_at(following), place, following))
    finally:
        await asyncio.gather(*(source.aclose() for source in sources), return_exceptions=True)


def _at(line: LogLine) -> int:
    try:
        return to_nanoseconds(line.time)
    except ValueError:
        return 0


async def _split(content: aiohttp.StreamReader, *, framed: bool) -> AsyncIterator[tuple[int, str]]:
    """The whole lines of each stream, and at the end what is left."""
    rest: dict[int, bytes] = {}
    async for channel, data in _framed(content) if framed else _raw(content):
        *whole, left = (rest.get(channel, b"") + data).split(b"\n")
        for line in whole:
            yield channel, line.decode(errors="replace").removesuffix("\r")
        if len(left) > _LONGEST:
            yield channel, left.decode(errors="replace")
            left = b""
        rest[channel] = left
    for channel, left in rest.items():
        if left:
            yield channel, left.decode(errors="replace")


async def _framed(content: aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            channel, size = _HEADER.unpack(await content.readexactly(_HEADER.size))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return
        yield channel, await content.readexactly(size)


async def _raw(content: aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    async for data in content.iter_any():
        yield 1, data


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    try:
        return str((await answer.json(content_type=None))["message"])
    except (ValueError, KeyError, TypeError):
        return f"its host answered {answer.status}"
