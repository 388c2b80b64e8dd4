"""Events over a real server: kept, told in order, told again from a cursor, across restarts."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from seaway_bus import Bus, Occurrence, Occurrences
from seaway_protocol import audit, errors
from seaway_protocol.actor import Actor
from seaway_protocol.kinds import Event, Interface, Message
from support.bus import BusFor, NatsServer


class Happened(Message):
    number: int = 0


made = Event("thing.made", Happened)
broken = Event("thing.broken", Happened, after="thing.made")
passing = Event("thing.passing", Happened, durable=False)

THINGS = Interface(name="things", version=1, subject="sw1.cmd.{node}.things", events=(made, broken, passing))


async def take(occurrences: Occurrences, count: int, seconds: float = 20) -> list[Occurrence]:
    async with asyncio.timeout(seconds):
        return [await anext(occurrences) for _ in range(count)]


def numbers(occurrences: list[Occurrence]) -> list[int]:
    return [o.payload.number for o in occurrences if isinstance(o.payload, Happened)]


@pytest.fixture
async def bus(bus_for: BusFor) -> Bus:
    bus = await bus_for()
    await bus.ensure_event_stream()
    return bus


async def test_events_are_told_in_order_with_id_time_and_cursor(bus: Bus) -> None:
    async with bus.events(made, broken) as happening:
        cursor = await bus.publish(made, Happened(number=1), id="docker.io/library/busybox:latest")
        await bus.publish(broken, Happened(number=2), id="b")
        first, second = await take(happening, 2)
    assert first.event is made and second.event is broken
    assert first.id == "docker.io/library/busybox:latest"
    assert first.cursor == cursor and second.cursor == cursor + 1
    assert abs(datetime.now(UTC) - first.time) < timedelta(seconds=5)


async def test_one_id_can_be_listened_to(bus: Bus) -> None:
    async with bus.events(made, id="b") as happening:
        await bus.publish(made, Happened(number=1), id="a")
        await bus.publish(made, Happened(number=2), id="b")
        assert numbers(await take(happening, 1)) == [2]


async def test_the_same_key_is_kept_once(bus: Bus) -> None:
    cursors = [await bus.publish(made, Happened(number=1), id="a", key="k") for _ in range(3)]
    assert len(set(cursors)) == 1
    assert numbers([o async for o in bus.events(made, since=0, follow=False)]) == [1]


async def test_any_time_is_found_and_gaps_are_no_matter(bus: Bus, nats_server: NatsServer) -> None:
    happened = []
    for number in range(40):
        await bus.publish(made, Happened(number=number), id="a")
        happened.append(datetime.now(UTC))
    for sequence in (1, 2, 20, 21, 22, 40):
        body = json.dumps({"seq": sequence}).encode()
        reply = await bus._requests.send("$JS.API.STREAM.MSG.DELETE.SW_EVT_n1", body, None, 5)
        assert json.loads(reply.data)["success"]
    left = [number for number in range(40) if number + 1 not in (1, 2, 20, 21, 22, 40)]
    for number, at in enumerate(happened):
        told = numbers([o async for o in bus.events(made, since=at, follow=False)])
        assert told == [each for each in left if each > number]


async def test_an_older_credential_leaves_the_time_to_the_server(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    await bus.publish(made, Happened(number=1), id="a")
    happening = bus.events(made, since=datetime.now(UTC) - timedelta(minutes=1), follow=False)
    api = happening._api

    async def refusing(verb: str, value: dict[str, object]) -> bytes:
        if verb.startswith("STREAM."):
            raise errors.PermissionDenied("cannot ask")
        return await api(verb, value)

    monkeypatch.setattr(happening, "_api", refusing)
    assert numbers([o async for o in happening]) == [1]


async def test_events_are_told_again_from_a_cursor_and_from_a_time(bus: Bus) -> None:
    cursors = [await bus.publish(made, Happened(number=n), id="a") for n in range(5)]
    assert numbers([o async for o in bus.events(made, since=cursors[1], follow=False)]) == [2, 3, 4]
    assert [o async for o in bus.events(made, since=cursors[-1], follow=False)] == []
    assert numbers(
        [o async for o in bus.events(made, since=datetime.now(UTC) - timedelta(minutes=1), follow=False)]
    ) == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert [o async for o in bus.events(made, since=datetime.now(UTC) + timedelta(minutes=1), follow=False)] == []


async def test_more_events_than_one_pull_takes(bus: Bus) -> None:
    await asyncio.gather(*(bus.publish(made, Happened(number=n), id="a") for n in range(700)))
    told = [o async for o in bus.events(made, since=0, follow=False)]
    assert sorted(numbers(told)) == list(range(700))
    assert [o.cursor for o in told] == list(range(1, 701))


async def test_passing_events_are_told_while_one_listens(bus: Bus) -> None:
    async with bus.events(passing, made) as happening:
        await bus.publish(passing, Happened(number=1), id="a")
        (told,) = await take(happening, 1)
    assert told.cursor is None or told.event is passing
    assert numbers([told]) == [1]


async def test_listeners_and_publishers_survive_crashes_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    async with bus.events(made) as happening:
        for round in range(3):
            await bus.publish(made, Happened(number=round * 2), id="a")
            nats_server.restart()
            await bus.publish(made, Happened(number=round * 2 + 1), id="a", seconds=20)
        assert numbers(await take(happening, 6)) == list(range(6))


async def test_an_idle_listener_survives_a_crash_before_it_heard_anything(bus: Bus, nats_server: NatsServer) -> None:
    await bus.publish(made, Happened(number=0), id="before")
    async with bus.events(made) as happening:
        nats_server.restart()
        await bus.publish(made, Happened(number=1), id="after", seconds=20)
        assert numbers(await take(happening, 1)) == [1]


async def test_a_frozen_server_delays_and_loses_nothing(bus: Bus, nats_server: NatsServer) -> None:
    async with bus.events(made) as happening:
        nats_server.freeze()
        publishing = asyncio.create_task(bus.publish(made, Happened(number=1), id="a", key="once", seconds=20))
        await asyncio.sleep(2.5)
        nats_server.thaw()
        await publishing
        await bus.publish(made, Happened(number=2), id="a")
        assert numbers(await take(happening, 2)) == [1, 2]


async def test_the_newer_form_of_acknowledgements_is_read_too(bus_for: BusFor, nats_server: NatsServer) -> None:
    """Trap 2: with js_ack_fc_v2 the client's own ordered consumers hang the whole connection."""
    path = nats_server.configuration.path
    text = path.read_text()
    assert "js_ack_fc_v2: false" in text
    path.write_text(text.replace("js_ack_fc_v2: false", "js_ack_fc_v2: true"))
    nats_server.restart()
    bus = await bus_for()
    await bus.ensure_event_stream()
    async with bus.events(made) as happening:
        await bus.publish(made, Happened(number=1), id="a")
        assert numbers(await take(happening, 1)) == [1]


async def test_without_a_stream_publishing_is_unavailable_and_listening_waits_for_it(bus_for: BusFor) -> None:
    bus = await bus_for()
    with pytest.raises(errors.Unavailable):
        await bus.publish(made, Happened(), id="a", seconds=1)
    happening = bus.events(made)
    opening = asyncio.create_task(happening.open())
    await asyncio.sleep(0.1)
    assert not opening.done()
    await bus.ensure_event_stream()
    await opening
    await bus.publish(made, Happened(number=5), id="a")
    assert numbers(await take(happening, 1)) == [5]


async def test_the_stream_is_on_disk_for_a_week_and_bounded(bus: Bus, nats_server: NatsServer) -> None:
    import json

    await bus.ensure_event_stream()
    reply = await bus._requests.send("$JS.API.STREAM.INFO.SW_EVT_n1", b"", None, 2)
    config = json.loads(reply.data)["config"]
    assert (config["storage"], config["discard"]) == ("file", "old")
    assert config["max_age"] == 7 * 24 * 3600 * 10**9 and config["max_bytes"] == 256 * 2**20
    assert "sync_interval: always" in nats_server.configuration.path.read_text()


async def test_the_audit_is_kept_apart_and_nobody_can_delete_from_it(bus_for: BusFor) -> None:
    supervisor, daemon, tester = await bus_for("supervisor"), await bus_for("daemon"), await bus_for(strict=False)
    await supervisor.ensure_event_stream()
    actor = Actor(name="alice", role="viewer")
    told = audit.Noted(requests=(audit.Request(at=1, actor=actor, method="GET", route="/info", status=403),))
    await daemon.publish(audit.noted, told, id="n1")
    async with daemon.events(audit.noted, since=0, follow=False) as kept:
        assert [each.payload async for each in kept] == [told]
    for verb, request in (("PURGE", b""), ("MSG.DELETE", b'{"seq":1}')):
        reply = await tester._requests.send(f"$JS.API.STREAM.{verb}.SW_AUDIT_n1", request, None, 5.0)
        assert b"not permitted" in reply.data, reply.data
