"""Files in the fleet's memory: cut into pieces, each kept under a key of its own, and found by name and digest.

    F.<name>              what the file is: `Blob`
    P.<upload>.<number>   a piece of it, at most 256 KiB

A file is there once what it is has been written, after its last piece. Writing a name again replaces it in one step.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from seaway_protocol.errors import Conflict, Internal, NotFound
from seaway_protocol.kinds import Message, Store

from seaway_bus import jetstream
from seaway_bus.codec import decode, encode
from seaway_bus.memory import OPERATION, Memory
from seaway_bus.occurrences import event_token

PIECE = 256 * 1024
"""Bytes of a piece. It is read as base64 in JSON, and has to fit into one message so."""

_AHEAD = 4
"""Pieces under way at a time."""

_SECONDS = 15.0
"""What one piece may take."""


class Blob(Message):
    """A file. `digest` is `sha256:` and hexadecimal digits; `at` is when it was written."""

    name: str
    digest: str
    size: int
    pieces: int
    upload: str
    at: int = 0


class Blobs:
    """The files of one store. Made by `Bus.store`. Everything raises Unavailable where the fleet can't be reached."""

    def __init__(self, memory: Memory, store: Store) -> None:
        self._memory = memory
        self.store = store

    async def ensure(self, replicas: int = 0, seconds: float = 10.0) -> None:
        """Make the store, or bring it up to date; kept by `replicas` hubs, 0 for as many as keep it already."""
        await self._memory.ensure(replicas, seconds)

    async def put(self, name: str, chunks: AsyncIterable[bytes] | Iterable[bytes]) -> str:
        """Write a file; its digest. Nobody sees it before it is complete."""
        upload, digest, size, number = secrets.token_hex(12), hashlib.sha256(), 0, 0
        before = await self._find(name)
        under_way: deque[asyncio.Task[int]] = deque()
        try:
            async for piece in _pieces(chunks):
                digest.update(piece)
                size += len(piece)
                headers = {jetstream.MESSAGE_ID: f"{upload}-{number}"}
                writing = self._memory.put(f"P.{upload}.{number}", piece, headers, _SECONDS)
                under_way.append(asyncio.ensure_future(writing))
                number += 1
                if len(under_way) >= _AHEAD:
                    await under_way.popleft()
            while under_way:
                await under_way.popleft()
        except BaseException:
            await _abandon(under_way)
            await asyncio.shield(self._memory.purge(f"P.{upload}.*", _SECONDS))
            raise
        blob = Blob(
            name=name, digest=f"sha256:{digest.hexdigest()}", size=size, pieces=number, upload=upload, at=time.time_ns()
        )
        headers = {jetstream.MESSAGE_ID: upload}
        await self._memory.put(f"F.{event_token(name)}", encode(blob), headers, _SECONDS)
        if before:
            await self._memory.purge(f"P.{before.upload}.*", _SECONDS)
        return blob.digest

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """A file's bytes. Raises NotFound where there is none of the name, Internal where it isn't what was written:
        after its last piece, so nothing may be done with it before this has ended.
        """
        blob = await self.info(name)
        digest = hashlib.sha256()
        under_way: deque[asyncio.Task[bytes]] = deque()
        try:
            for number in range(blob.pieces + _AHEAD):
                if number < blob.pieces:
                    under_way.append(asyncio.ensure_future(self._piece(blob, number)))
                if number >= _AHEAD - 1 and under_way:
                    piece = await under_way.popleft()
                    digest.update(piece)
                    yield piece
        finally:
            await _abandon(under_way)
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise Internal(f"cannot read {name} of {self.store.name}: it isn't what was written there")

    async def info(self, name: str) -> Blob:
        """What a file is. Raises NotFound where there is none of the name."""
        blob = await self._find(name)
        if blob is None:
            raise NotFound(f"cannot find {name} in {self.store.name}: the fleet doesn't keep it")
        return blob

    async def list(self) -> list[Blob]:
        """All files, by name."""
        keys = await self._memory.keys(_SECONDS, "F.*")
        found = [await self._memory.get(key, _SECONDS) for key in sorted(keys)]
        return [decode(raw.data, Blob) for raw in found if raw and not raw.deleted]

    async def delete(self, name: str) -> None:
        """Forget a file. Raises NotFound where there is none of the name, Conflict where it was just replaced."""
        key = f"F.{event_token(name)}"
        raw = await self._memory.get(key, _SECONDS)
        if raw is None or raw.deleted:
            raise NotFound(f"cannot forget {name} of {self.store.name}: the fleet doesn't keep it")
        headers = {OPERATION: "DEL", jetstream.MESSAGE_ID: secrets.token_hex(12)}
        await self._memory.put(key, b"", headers, _SECONDS, expected=raw.revision)
        await self._memory.purge(f"P.{decode(raw.data, Blob).upload}.*", _SECONDS)

    async def sweep(self, older: float = 24 * 3600) -> int:
        """Forget pieces of files that were never finished and haven't grown for `older` seconds; how many uploads."""
        kept = {blob.upload for blob in await self.list()}
        uploads: dict[str, int] = {}
        for key in await self._memory.keys(_SECONDS, "P.*.*"):
            _, upload, number = key.split(".")
            uploads[upload] = max(uploads.get(upload, 0), int(number))
        swept = 0
        for upload in uploads.keys() - kept:
            raw = await self._memory.get(f"P.{upload}.{uploads[upload]}", _SECONDS)
            if raw and time.time() - raw.at.timestamp() > older:
                await self._memory.purge(f"P.{upload}.*", _SECONDS)
                swept += 1
        return swept

    async def _find(self, name: str) -> Blob | None:
        raw = await self._memory.get(f"F.{event_token(name)}", _SECONDS)
        return None if raw is None or raw.deleted else decode(raw.data, Blob)

    async def _piece(self, blob: Blob, number: int) -> bytes:
        raw = await self._memory.get(f"P.{blob.upload}.{number}", _SECONDS)
        if raw is None:
            raise Conflict(f"cannot read {blob.name} of {self.store.name}: it was replaced meanwhile; read it again")
        return raw.data


async def _pieces(chunks: AsyncIterable[bytes] | Iterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of one size, but for the last."""
    rest = bytearray()
    if isinstance(chunks, Iterable):
        for chunk in chunks:
            rest += chunk
            while len(rest) >= PIECE:
                yield bytes(rest[:PIECE])
                del rest[:PIECE]
    else:
        async for chunk in chunks:
            rest += chunk
            while len(rest) >= PIECE:
                yield bytes(rest[:PIECE])
                del rest[:PIECE]
    if rest:
        yield bytes(rest)


async def _abandon(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Let go of what is under way."""
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
