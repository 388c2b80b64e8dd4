"""A bucket of the fleet's memory, typed: values by key, written under the condition that nobody else has written."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from seaway_protocol.errors import Conflict, InvalidArgument
from seaway_protocol.kinds import Bucket, Message

from seaway_bus import jetstream
from seaway_bus.codec import decode, encode
from seaway_bus.memory import OPERATION, Memory, Raw
from seaway_bus.occurrences import event_id, event_token

if TYPE_CHECKING:
    from seaway_bus.connection import Connection
    from seaway_bus.watching import Watch

log = logging.getLogger("seaway.bus")

V = TypeVar("V", bound=Message)

_AT_ONCE = 64
"""Values asked for side by side when all are listed."""

_SECONDS = 5.0
"""What one question may take."""


@dataclass(frozen=True)
class Entry(Generic[V]):
    """A key and its value; None where it has none any more. `at` is when it was written, by the hub's clock."""

    key: str
    value: V | None
    revision: int
    at: datetime


class Records(Generic[V]):
    """The values of one bucket. Made by `Bus.bucket`.

    Everything raises Unavailable where the fleet can't be reached from here, or this host is in none; what writes may
    have written all the same then. A repetition of a write whose answer was lost is recognised by the hub.
    """

    def __init__(self, memory: Memory, bucket: Bucket[V], connection: Connection) -> None:
        self._memory = memory
        self._connection = connection
        self.bucket = bucket

    async def ensure(self, replicas: int = 0, seconds: float = 10.0) -> None:
        """Make the bucket, or bring it up to date; kept by `replicas` hubs, 0 for as many as keep it already."""
        await self._memory.ensure(replicas, seconds)

    async def get(self, key: str, seconds: float = _SECONDS) -> Entry[V] | None:
        """The value of a key and its revision; None where it has none."""
        raw = await self._memory.get(event_token(key), seconds)
        return None if raw is None or raw.deleted else self.entry(raw)

    async def put(self, key: str, value: V, seconds: float = _SECONDS) -> int:
        """Write, whatever was there; the revision."""
        return await self._write(key, value, None, seconds)

    async def create(self, key: str, value: V, seconds: float = _SECONDS) -> int:
        """Write where the key has no value; the revision. Raises Conflict where it has one."""
        id = secrets.token_hex(12)
        try:
            return await self._write(key, value, 0, seconds, id)
        except Conflict:
            last = await self._memory.get(event_token(key), seconds)
            if last is None or not last.deleted:
                raise
            return await self._write(key, value, last.revision, seconds, id)

    async def update(self, key: str, value: V, revision: int, seconds: float = _SECONDS) -> int:
        """Write where the key's last revision is `revision`; the new one. Raises Conflict where it isn't."""
        return await self._write(key, value, revision, seconds)

    async def delete(self, key: str, revision: int | None = None, seconds: float = _SECONDS) -> None:
        """End a key; with `revision` only where that is its last: else Conflict."""
        headers = {OPERATION: "DEL", jetstream.MESSAGE_ID: secrets.token_hex(12)}
        await self._memory.put(event_token(key), b"", headers, seconds, expected=revision)

    async def entries(self, seconds: float = _SECONDS) -> list[Entry[V]]:
        """All keys that have a value, in their order."""
        return [entry for entry in await self.all(seconds) if entry.value is not None]

    async def all(self, seconds: float = _SECONDS) -> list[Entry[V]]:
        """All keys, those whose value has been deleted among them."""
        keys = sorted(await self._memory.keys(seconds))
        found: list[Raw] = []
        for first in range(0, len(keys), _AT_ONCE):
            asked = (self._memory.get(key, seconds) for key in keys[first : first + _AT_ONCE])
            found += [raw for raw in await asyncio.gather(*asked) if raw is not None]
        return [entry for raw in found if (entry := self._readable(raw)) is not None]

    def watch(self, every: float = 15.0) -> Watch[V]:
        """What is there, then each change: `async for entry in bucket.watch(): …`; value None says that it is gone.

        Only the last of several changes may be told. A change is told at once, mostly; one that was missed while the
        fleet couldn't be reached, and a value that was forgotten for its age, within `every` seconds of listing it all
        again. Never raises where the fleet is away: it waits.
        """
        from seaway_bus.watching import Watch

        return Watch(self, self._connection, every)

    async def _write(self, key: str, value: V, expected: int | None, seconds: float, id: str = "") -> int:
        payload = encode(value, f"{key} of {self.bucket.name}")
        headers = {jetstream.MESSAGE_ID: f"{id or secrets.token_hex(12)}-{expected}"}
        return await self._memory.put(event_token(key), payload, headers, seconds, expected=expected)

    def _readable(self, raw: Raw) -> Entry[V] | None:
        """A kept value as an entry; passed over where it can't be read, and said so."""
        try:
            return self.entry(raw)
        except InvalidArgument as error:
            log.error("An entry is passed over: %s", error)
            return None

    def entry(self, raw: Raw) -> Entry[V]:
        """A kept value as an entry. Raises InvalidArgument where it can't be read."""
        key = event_id(raw.key)
        value = None if raw.deleted else decode(raw.data, self.bucket.value, f"{key} of {self.bucket.name}")
        return Entry(key, value, raw.revision, raw.at)
