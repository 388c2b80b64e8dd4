"""The fleet's memory as its hub keeps it: streams of JetStream, asked over this host's own bus.

Source: the NATS architecture records ADR-8 (key-value) and ADR-1 (JetStream's API), and
https://docs.nats.io/nats-concepts/jetstream/domains for the way into another domain.

A bucket is a stream `KV_<name>` of subjects `$KV.<name>.<key>`, as other clients know it. Two things are our own way:

* Only questions are asked whose answers are JSON (`STREAM.INFO`, `STREAM.MSG.GET`), and nobody is given the right to
  make consumers. JetStream answers wherever the question says; JSON is no message of ours, so that no host can have
  the hub say something in another's name.
* What is written is said again on `sw1.mem.<bucket>.<key>`; that is what a watcher listens to, instead of a consumer
  that needs up to 20 seconds to notice that its server has changed.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from seaway_protocol.errors import Conflict, NotFound, Unavailable
from seaway_protocol.kinds import WIRE, Bucket, Store

from seaway_bus import jetstream, wire
from seaway_bus.wire import Msg

HUB_DOMAIN = "hub"
"""The JetStream domain of a fleet's hub."""

ANSWERER = "="
"""Stands for the hub in the reply subjects of what is asked of it; no node has such a name."""

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
"""Header: write only if the key's last revision is this one; 0 if it has none."""

OPERATION = "KV-Operation"
"""Header of what ends a key: DEL, or PURGE with its history."""

REVISION = "Nats-Sequence"
"""Header of what is said again: its revision."""

WRITTEN = "Nats-Time-Stamp"
"""Header of what is said again: when it was written."""

_SECOND = 1_000_000_000

_AGAIN = 0.2
"""Seconds before a hub that can't make a stream yet is asked again."""


class Ask(Protocol):
    """Puts a question to JetStream. Raises Unavailable, DeadlineExceeded, PermissionDenied."""

    def __call__(
        self, subject: str, payload: bytes, headers: dict[str, str], seconds: float, doing: str
    ) -> Awaitable[Msg]:
        """The reply within `seconds`; `doing` begins the sentence that says what failed."""
        ...


@dataclass(frozen=True)
class Raw:
    """A key's value as it is kept; `deleted` says that it marks the key's end.

    `at` is when it was written, by the hub's clock, and `id` the id of the message that wrote it.
    """

    key: str
    data: bytes
    revision: int
    at: datetime
    deleted: bool
    id: str = ""


def stream_of(kept: Bucket[Any] | Store) -> str:
    """The stream of a bucket or store."""
    return f"KV_{kept.name}"


def said_again(bucket: Bucket[Any], key: str = ">") -> str:
    """Where what is written under a key is said again."""
    return f"{WIRE}.mem.{bucket.name}.{key}"


def api(domain: str) -> str:
    """The prefix of JetStream's API in a domain, and of what is written there."""
    return f"$JS.{domain}.API"


def written(kept: Bucket[Any] | Store, key: str, domain: str = HUB_DOMAIN) -> str:
    """Where a key is written. JetStream's API of the domain stands before it, since nothing else crosses domains."""
    return f"{api(domain)}.$KV.{kept.name}.{key}"


def stream(kept: Bucket[Any] | Store, replicas: int) -> dict[str, Any]:
    """The configuration of a bucket's or store's stream."""
    seconds = kept.seconds if isinstance(kept, Bucket) else 0
    wanted: dict[str, Any] = {
        "name": stream_of(kept),
        "description": kept.doc,
        "subjects": [f"$KV.{kept.name}.>"],
        "retention": "limits",
        "discard": "new",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": int(seconds * _SECOND),
        "max_bytes": kept.max_bytes,
        "max_msgs_per_subject": kept.history if isinstance(kept, Bucket) else 1,
        "duplicate_window": int(min(120, seconds or 120) * _SECOND),
        "deny_delete": True,
        "allow_rollup_hdrs": True,
    }
    if isinstance(kept, Bucket):
        wanted["republish"] = {"src": f"$KV.{kept.name}.>", "dest": said_again(kept)}
    return wanted


class Memory:
    """One stream of the fleet's memory. Keys are already subject tokens here, values bytes."""

    def __init__(self, ask: Ask, kept: Bucket[Any] | Store, domain: str) -> None:
        self._ask = ask
        self._kept = kept
        self._domain = domain
        self._api = api(domain)
        self._keys = f"$KV.{kept.name}."
        self.stream = stream_of(kept)

    async def ensure(self, replicas: int, seconds: float) -> None:
        """Make the stream, or bring it up to date; with 0 `replicas` as many as it has.

        A hub that has just begun can't do it yet: it is tried for `seconds`. Raises Unavailable.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                return await self._ensure(replicas, max(1.0, until - time.monotonic()))
            except Unavailable:
                if time.monotonic() + _AGAIN > until:
                    raise
            await asyncio.sleep(_AGAIN)

    async def _ensure(self, replicas: int, seconds: float) -> None:
        wanted = stream(self._kept, replicas or await self._replicas(seconds))
        for verb in ("CREATE", "UPDATE"):
            try:
                await self._told(f"STREAM.{verb}.{self.stream}", wanted, f"make {self._kept.name}", seconds)
                return
            except Conflict:
                continue

    async def _replicas(self, seconds: float) -> int:
        doing = f"look at {self._kept.name}"
        try:
            told = await self._told(f"STREAM.INFO.{self.stream}", {}, doing, seconds)
        except NotFound:
            return 1
        return int(told["config"]["num_replicas"])

    async def get(self, key: str, seconds: float) -> Raw | None:
        """A key's last value; None where it has none."""
        reply = await self._question(
            f"STREAM.MSG.GET.{self.stream}",
            {"last_by_subj": self._keys + key},
            f"read {key} of {self._kept.name}",
            seconds,
        )
        told = jetstream.message(reply.data, f"read {key} of {self._kept.name}")
        return self._raw(told) if told else None

    async def keys(self, seconds: float, filter: str = ">") -> list[str]:
        """All keys that have, or had, a value."""
        found: list[str] = []
        while True:
            wanted = {"subjects_filter": self._keys + filter, "offset": len(found)}
            told = await self._told(f"STREAM.INFO.{self.stream}", wanted, f"list {self._kept.name}", seconds)
            page = told.get("state", {}).get("subjects") or {}
            found += [subject.removeprefix(self._keys) for subject in page]
            if not page or len(found) >= int(told.get("total", 0)):
                return found

    async def put(
        self, key: str, data: bytes, headers: dict[str, str], seconds: float, *, expected: int | None = None
    ) -> int:
        """Write; the revision. With `expected` only where that is the key's last revision: else Conflict.

        The hub looks at the condition before it looks whether it has the message already: so where it isn't met, the
        value there may be what this call wrote itself, before the connection broke and it asked again.
        """
        if expected is not None:
            headers = {**headers, EXPECTED: str(expected)}
        doing = f"write {key} of {self._kept.name}"
        reply = await self._ask(written(self._kept, key, self._domain), data, headers, seconds, f"cannot {doing}")
        try:
            return jetstream.revision(reply.data, doing)
        except Conflict:
            id = headers.get(jetstream.MESSAGE_ID)
            there = await self.get(key, seconds) if id else None
            if there is None or there.id != id:
                raise
            return there.revision

    async def purge(self, key: str, seconds: float) -> None:
        """Forget all values of keys; `key` may have wildcards."""
        wanted = {"filter": self._keys + key}
        await self._told(f"STREAM.PURGE.{self.stream}", wanted, f"forget {key} of {self._kept.name}", seconds)

    async def _told(self, verb: str, value: dict[str, Any], doing: str, seconds: float) -> dict[str, Any]:
        return jetstream.answer((await self._question(verb, value, doing, seconds)).data, doing)

    async def _question(self, verb: str, value: dict[str, Any], doing: str, seconds: float) -> Msg:
        return await self._ask(f"{self._api}.{verb}", jetstream.body(value), {}, seconds, f"cannot {doing}")

    def _raw(self, told: dict[str, Any]) -> Raw:
        headers = wire.headers_in(base64.b64decode(told.get("hdrs", "")))
        return Raw(
            key=str(told["subject"]).removeprefix(self._keys),
            data=base64.b64decode(told.get("data", "")),
            revision=int(told["seq"]),
            at=datetime.fromisoformat(str(told["time"])),
            deleted=OPERATION in headers,
            id=headers.get(jetstream.MESSAGE_ID, ""),
        )


def heard(message: Msg, bucket: Bucket[Any]) -> Raw:
    """What was said again of a bucket. Raises Unavailable for what isn't that."""
    headers = message.headers
    try:
        return Raw(
            key=message.subject.removeprefix(said_again(bucket, "")),
            data=message.data,
            revision=int(headers[REVISION]),
            at=datetime.fromisoformat(headers[WRITTEN]),
            deleted=OPERATION in headers,
        )
    except (KeyError, ValueError) as error:
        raise Unavailable(f"cannot understand what was said of {bucket.name}: {error}") from None
