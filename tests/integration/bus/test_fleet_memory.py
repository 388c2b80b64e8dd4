"""What the fleet remembers: buckets and files, over a real server that is also killed and frozen."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest
from seaway_bus import Bus, Entry
from seaway_protocol import errors
from seaway_protocol.kinds import Bucket, Message, Store
from support.bus import BusFor, NatsServer, eventually


class Value(Message):
    number: int = 0
    text: str = ""


VALUES = Bucket("SW_T", Value, history=3)
AGEING = Bucket("SW_AGE", Value, seconds=1.0)
FILES = Store("SW_F", max_bytes=64 * 1024 * 1024)


async def test_a_value_is_written_read_and_ended(bus_for: BusFor) -> None:
    values = (await bus_for()).bucket(VALUES)
    await values.ensure()
    await values.ensure()
    assert await values.get("h1") is None and await values.entries() == []
    first = await values.put("h1", Value(number=1))
    entry = await values.get("h1")
    assert entry and entry.value == Value(number=1) and entry.revision == first and entry.key == "h1"
    await values.put("a name/with what isn't a token. *>", Value(number=2))
    assert {e.key: e.value.number for e in await values.entries() if e.value} == {
        "h1": 1,
        "a name/with what isn't a token. *>": 2,
    }
    await values.delete("h1")
    assert await values.get("h1") is None and len(await values.entries()) == 1


async def test_conditions_are_kept(bus_for: BusFor) -> None:
    values = (await bus_for()).bucket(VALUES)
    await values.ensure()
    first = await values.create("k", Value(number=1))
    with pytest.raises(errors.Conflict, match="written by somebody else"):
        await values.create("k", Value(number=2))
    second = await values.update("k", Value(number=3), first)
    for revision in (first, second + 1, 0):
        with pytest.raises(errors.Conflict):
            await values.update("k", Value(number=4), revision)
        with pytest.raises(errors.Conflict):
            await values.delete("k", revision)
    await values.delete("k", second)
    assert await values.create("k", Value(number=5)) > second  # what was ended can be begun again
    entry = await values.get("k")
    assert entry and entry.value == Value(number=5)


async def test_of_many_who_write_at_once_each_change_is_made_once(bus_for: BusFor) -> None:
    buses = [await bus_for() for _ in range(4)]
    await buses[0].bucket(VALUES).ensure()
    await buses[0].bucket(VALUES).put("sum", Value())

    async def add(bus: Bus, times: int) -> None:
        values = bus.bucket(VALUES)
        while times:
            entry = await values.get("sum")
            assert entry and entry.value
            try:
                await values.update("sum", Value(number=entry.value.number + 1), entry.revision)
                times -= 1
            except errors.Conflict:
                await asyncio.sleep(random.random() / 100)

    await asyncio.gather(*(add(bus, 25) for bus in buses))
    entry = await buses[0].bucket(VALUES).get("sum")
    assert entry and entry.value and entry.value.number == 100


async def test_one_of_many_creates(bus_for: BusFor) -> None:
    buses = [await bus_for() for _ in range(8)]
    await buses[0].bucket(VALUES).ensure()
    made = await asyncio.gather(
        *(bus.bucket(VALUES).create("k", Value(number=n)) for n, bus in enumerate(buses)), return_exceptions=True
    )
    assert sum(isinstance(each, int) for each in made) == 1
    assert all(isinstance(each, int | errors.Conflict) for each in made)


async def test_a_write_that_is_repeated_is_made_once(bus_for: BusFor) -> None:
    """As after a connection that broke before the answer came: the hub knows it by its id, condition or none."""
    bus = await bus_for()
    values = bus.bucket(VALUES)
    await values.ensure()
    first = await values.put("k", Value(number=1))
    headers = {"Nats-Msg-Id": "once"}
    second = await values._memory.put("k", b"x", headers, 5, expected=first)
    assert await values._memory.put("k", b"x", headers, 5, expected=first) == second


async def test_where_there_is_no_hub_it_is_said_at_once(bus_for: BusFor) -> None:
    values = (await bus_for(hub_domain="nowhere")).bucket(VALUES)
    for doing in (values.get("k"), values.put("k", Value()), values.entries(), values.ensure(seconds=1)):
        with pytest.raises(errors.Unavailable, match="the fleet's hub can't be reached"):
            async with asyncio.timeout(10):
                await doing


async def test_where_the_bucket_isnt_made_yet_it_is_away(bus_for: BusFor) -> None:
    values = (await bus_for()).bucket(VALUES)
    for doing in (values.get("k"), values.put("k", Value())):
        with pytest.raises(errors.Unavailable):
            await doing


async def test_what_is_forgotten_for_its_age_can_be_made_again(bus_for: BusFor) -> None:
    values = (await bus_for()).bucket(AGEING)
    await values.ensure()
    await values.create("k", Value(number=1))
    async with values.watch(every=0.2) as watch:
        assert (await anext(watch)).value == Value(number=1)
        async with asyncio.timeout(20):
            assert (await anext(watch)).value is None
    assert await values.get("k") is None
    await values.create("k", Value(number=2))


class Followed:
    """What a watcher knows."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.told: list[Entry[Value]] = []

    async def follow(self, bus: Bus, every: float = 15.0) -> None:
        async for entry in bus.bucket(VALUES).watch(every):
            self.told.append(entry)
            if entry.value is None:
                self.values.pop(entry.key, None)
            else:
                self.values[entry.key] = entry.value.number


async def test_a_watcher_learns_what_is_there_and_each_change(bus_for: BusFor) -> None:
    bus, other = await bus_for(), await bus_for()
    values = bus.bucket(VALUES)
    await values.ensure()
    await values.put("a", Value(number=1))
    await values.put("gone", Value(number=1))
    await values.delete("gone")
    followed = Followed()
    task = asyncio.create_task(followed.follow(other, every=600))
    await eventually(lambda: followed.values == {"a": 1})
    for number in range(2, 30):
        await values.put("a", Value(number=number))
        await values.put(f"b{number}", Value(number=number))
    await values.delete("b2")
    await eventually(lambda: followed.values == {"a": 29, **{f"b{n}": n for n in range(3, 30)}})
    revisions = [entry.revision for entry in followed.told if entry.key == "a"]
    assert revisions == sorted(set(revisions))
    task.cancel()


async def test_a_watcher_catches_up_after_the_server_was_killed(bus_for: BusFor, nats_server: NatsServer) -> None:
    bus, other = await bus_for(), await bus_for()
    values = bus.bucket(VALUES)
    await values.ensure()
    followed = Followed()
    task = asyncio.create_task(followed.follow(other, every=600))
    written = 0
    for _ in range(3):
        for _ in range(5):
            written += 1
            await values.put("k", Value(number=written))
        nats_server.restart()
        await bus._connection.ready(20)
        await eventually(lambda written=written: followed.values == {"k": written}, 30)
    for n in range(20):
        try:
            await values.put("k", Value(number=1000 + n))
        except errors.Error:
            await bus._connection.ready(20)
        if n == 10:
            nats_server.restart()
    await bus._connection.ready(20)
    last = await values.put("k", Value(number=5000))
    await eventually(lambda: followed.values == {"k": 5000}, 30)
    assert followed.told[-1].revision == last
    task.cancel()


async def test_a_missed_change_is_noticed_by_the_next_one(bus_for: BusFor) -> None:
    """What is said again may be lost on a leaf's way; revisions count up by one."""
    bus, other = await bus_for(), await bus_for()
    values = bus.bucket(VALUES)
    await values.ensure()
    followed = Followed()
    watch = other.bucket(VALUES).watch(every=600)

    async def follow() -> None:
        async for entry in watch:
            followed.values[entry.key] = entry.value.number if entry.value else -1

    await values.put("a", Value(number=1))
    task = asyncio.create_task(follow())
    await eventually(lambda: followed.values == {"a": 1})
    assert watch._subscription
    other._connection.unsubscribe(watch._subscription)
    await other.settle()
    await values.put("a", Value(number=2))
    watch._subscription = other._connection.subscribe("sw1.mem.SW_T.>", watch._hear)
    await other.settle()
    await values.put("b", Value(number=3))
    await eventually(lambda: followed.values == {"a": 2, "b": 3})
    task.cancel()


async def test_files_are_kept_whole(bus_for: BusFor) -> None:
    store = (await bus_for()).store(FILES)
    await store.ensure()
    for size in (0, 1, 256 * 1024, 256 * 1024 * 5 + 17):
        content = os.urandom(size)
        digest = await store.put("a.deb", [content[i : i + 100_000] for i in range(0, size, 100_000)])
        assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert b"".join([piece async for piece in store.get("a.deb")]) == content
    assert [blob.name for blob in await store.list()] == ["a.deb"]
    assert len(await store._memory.keys(5, "P.*.*")) == 6  # those of what it replaced are gone
    await store.delete("a.deb")
    assert await store.list() == [] and await store._memory.keys(5, "P.*.*") == []
    with pytest.raises(errors.NotFound):
        await store.info("a.deb")


async def test_a_file_that_breaks_off_is_not_there(bus_for: BusFor) -> None:
    store = (await bus_for()).store(FILES)
    await store.ensure()

    async def broken() -> None:
        def chunks():  # type: ignore[no-untyped-def]
            yield bytes(600_000)
            raise OSError("the disk")

        await store.put("x", chunks())

    with pytest.raises(OSError, match="the disk"):
        await broken()
    assert await store.list() == [] and await store._memory.keys(5, "P.*.*") == []


async def test_a_file_that_was_changed_on_the_way_is_refused(bus_for: BusFor) -> None:
    store = (await bus_for()).store(FILES)
    await store.ensure()
    await store.put("x", [b"good"])
    blob = await store.info("x")
    await store._memory.put(f"P.{blob.upload}.0", b"evil", {}, 5)
    with pytest.raises(errors.Internal, match="isn't what was written"):
        assert [piece async for piece in store.get("x")]


async def test_abandoned_pieces_are_swept(bus_for: BusFor) -> None:
    store = (await bus_for()).store(FILES)
    await store.ensure()
    await store.put("x", [b"kept"])
    await store._memory.put("P.abandoned.0", b"x", {}, 5)
    assert await store.sweep(older=3600) == 0
    assert await store.sweep(older=-1) == 1
    assert b"".join([piece async for piece in store.get("x")]) == b"kept"
