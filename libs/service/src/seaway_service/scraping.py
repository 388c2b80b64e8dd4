"""Serves a service's metrics on a unix socket, `<run_dir>/metrics/<service>.sock`: HTTP/1.1, one page, one answer a
connection.

Who may read is decided by the directory: its group (it has the set-group-id bit, so that sockets get it) may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from seaway_service.metrics import CONTENT_TYPE, Family, counter, text

log = logging.getLogger("seaway.service")

Collector = Callable[[], Iterable[Family] | Awaitable[Iterable[Family]]]

_LONGEST = 8192
"""Bytes of a request; nobody who scrapes has more to say."""

_PATIENCE = 10.0
"""Seconds for one connection, from its first byte to our last."""

_MANY = 16
"""Connections at a time; more wait."""


class Metrics:
    """What a service can be asked for: everything that its collectors give at that moment."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._collectors: list[Collector] = []
        self._failures = 0
        self.page: Callable[[], Awaitable[str]] = self.text
        """What is answered; a service that gathers others' metrics puts its own in this place."""

    def add(self, collector: Collector) -> None:
        """Ask this one too, last."""
        self._collectors.append(collector)

    async def text(self) -> str:
        """The exposition, every sample labelled with the service.

        A collector that fails is left out, counted, and said in the journal.
        """
        found: list[Family] = []
        for collector in self._collectors:
            try:
                given = collector()
                found += await given if inspect.isawaitable(given) else given
            except Exception as error:
                self._failures += 1
                log.warning("Cannot collect some metrics: %s", error, exc_info=error)
        doc = "Parts of the metrics that couldn't be collected"
        found.append(counter("seaway_metrics_failures_total", doc, self._failures))
        return text(found, service=self.service)


class Scraped:
    """A socket on which metrics are served until it is closed."""

    def __init__(self, metrics: Metrics, listener: socket.socket, own: Path | None) -> None:
        self._metrics = metrics
        self._listener = listener
        self._own = own
        self._room = asyncio.Semaphore(_MANY)
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, metrics: Metrics, directory: Path, passed: socket.socket | None = None) -> Scraped | None:
        """Serve on the socket `passed` by the service manager, else on one made in `directory`.

        None where it can't be made: a service without metrics is better than none, so that is only said.
        """
        path = directory / f"{metrics.service}.sock"
        try:
            listener = passed or _listener(path)
        except OSError as error:
            log.warning("Cannot serve metrics on %s: %s", path, (error.strerror or str(error)).lower())
            return None
        made = cls(metrics, listener, None if passed else path)
        made._server = await asyncio.start_unix_server(made._answer, sock=listener, limit=_LONGEST)
        return made

    def close(self) -> None:
        """Serve no more."""
        if self._server:
            self._server.close()
        if self._own:
            self._own.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with self._room, asyncio.timeout(_PATIENCE):
                request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
                writer.write(await self._answered(request.decode("latin-1").split(" ")))
                await writer.drain()
        writer.close()

    async def _answered(self, request: list[str]) -> bytes:
        method, target = (*request, "", "")[:2]
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "only GET and HEAD are answered here\n", "text/plain")
        if target.partition("?")[0] != "/metrics":
            return _response("404 Not Found", "there is only /metrics\n", "text/plain")
        return _response("200 OK", await self._metrics.page(), CONTENT_TYPE, bodiless=method == "HEAD")


def _response(status: str, body: str, content_type: str, *, bodiless: bool = False) -> bytes:
    content = body.encode()
    lines = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content)}",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    return head if bodiless else head + content


def _listener(path: Path) -> socket.socket:
    """A listening socket that owner and group may use. It takes the place of what an earlier process has left.

    Raises OSError, also where somebody answers there: the service of another engine.
    """
    if _answers(path):
        raise OSError("another process answers there")
    path.parent.mkdir(mode=0o750, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    draft = path.with_name(f".{path.name}")
    try:
        draft.unlink(missing_ok=True)
        listener.bind(str(draft))
        draft.chmod(0o660)
        draft.rename(path)
        listener.listen(_MANY)
    except BaseException:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)


async def scrape(path: Path, seconds: float) -> str:
    """Another service's metrics. Raises OSError, also where it doesn't answer within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except TimeoutError:
        raise OSError(f"no answer within {seconds:g} s") from None
    if not head.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"it answered {head[:40].decode('latin-1')!r}")
    return body.decode()
