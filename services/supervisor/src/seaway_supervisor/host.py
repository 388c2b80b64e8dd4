"""What every verb needs of the supervisor: settings, the bus, the state, and who is who."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seaway_bus import Bus, concern, detach, request_key
from seaway_protocol.kinds import Event

from seaway_supervisor.images import Images
from seaway_supervisor.outbox import Outbox, about
from seaway_supervisor.readings import Readings
from seaway_supervisor.records import Record, Records
from seaway_supervisor.settings import SupervisorSettings
from seaway_supervisor.store import Statement, Store
from seaway_supervisor.volumes import Volumes

log = logging.getLogger("seaway.supervisor")


@dataclass(eq=False)
class Host:
    """One supervisor's world. Verbs are functions that take it first.

    `removing` holds the containers whose tombstone is set and whose remains aren't cleared yet, by id; `buried` says
    when those removed in this life, or shortly before, were started last.
    """

    settings: SupervisorSettings
    bus: Bus
    store: Store
    outbox: Outbox
    images: Images
    volumes: Volumes
    readings: Readings
    records: Records = field(default_factory=Records)
    removing: dict[str, Record] = field(default_factory=dict)
    buried: dict[str, int] = field(default_factory=dict)
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    _fleeting: set[asyncio.Task[Any]] = field(default_factory=set)

    def directory(self, id: str) -> Path:
        """A container's lasting directory."""
        return self.settings.containers_dir / id

    def save(
        self, record: Record, *events: tuple[Event[Any], Any], also: Iterable[Statement] = ()
    ) -> asyncio.Future[None]:
        """Write the record as it is now, with the events that tell of the change, in one transaction.

        Whoever answers a peer awaits it first: what was answered outlives us. One await covers the saves before it.
        """
        tells = [*record.owed, *_news(record, events)]
        record.owed = []
        record.saved = self.outbox.commit([record.statement(), *also], tells)
        record.saved.add_done_callback(lambda saved: _owe(record, saved, tells))
        return record.saved

    def resolve(self, reference: str) -> Record:
        """The container named. Raises NotFound, Conflict."""
        record = self.records.resolve(reference)
        concern(record.id, record.name)
        return record

    def remember(self, record: Record) -> None:
        """Keep when a container that is removed was started last; the file keeps the latest thousand."""
        self.buried[record.id] = record.state.started_at

    def behind(self, work: Coroutine[Any, Any, Any], name: str, *, lasting: bool = True) -> asyncio.Task[Any]:
        """Run work that nobody waits for; a failure is logged. What isn't `lasting` may be dropped at the end."""
        task = detach(work, name=name)
        (self._background if lasting else self._fleeting).add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish_background(self, seconds: float) -> None:
        """Give what runs behind `seconds` to end; what is left is done by the next life."""
        for task in self._fleeting:
            task.cancel()
        if self._background:
            _, late = await asyncio.wait(set(self._background), timeout=seconds)
            for task in late:
                task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        self._fleeting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("Cannot finish %s: %s", task.get_name(), error, exc_info=error)


def _news(record: Record, events: Iterable[tuple[Event[Any], Any]]) -> list[Statement]:
    """What puts events into the outbox, but for those that the request being handled, asked before, has told."""
    key = request_key()
    return [about(event, record.id, payload) for event, payload in events if record.kept.first_told(key, event.name)]


def _owe(record: Record, saved: asyncio.Future[None], tells: list[Statement]) -> None:
    """A disk that is full loses no event: the next save takes along what this one couldn't write."""
    if not saved.cancelled() and (error := saved.exception()):
        log.error("Cannot write down how container %s is: %s", record.id, error)
        record.owed = [*tells, *record.owed]


async def started(record: Record) -> None:
    """Wait while the container is being started: it may have said its first word before we know that it runs."""
    if record.starting:
        await record.starting.wait()


async def until(record: Record, condition: Callable[[], bool], seconds: float | None = None) -> bool:
    """Wait until the condition holds of the record; False where it doesn't within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await record.changed.wait()
    except TimeoutError:
        return condition()
    return True
