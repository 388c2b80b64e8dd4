"""Who is in the fleet, with what it remembers kept by a real server."""

from __future__ import annotations

import pytest
from seaway_bus import Bus
from seaway_fleet import registry
from seaway_fleet.presence import Presence
from seaway_fleet.registry import Registry
from seaway_protocol import memory
from seaway_protocol.enrolment import Member
from seaway_protocol.errors import Unavailable
from seaway_protocol.fleet import Host
from support.bus import BusFor, NatsServer


async def fleet_of(bus: Bus, *names: str) -> None:
    for bucket in (memory.NODES, memory.HOSTS):
        await bus.bucket(bucket).ensure()
    for name in names:
        await bus.bucket(memory.NODES).put(name, Member(node=name, role="controller", key=f"U{name}"))
        await bus.bucket(memory.HOSTS).put(name, Host(node=name))


async def names(of: Registry) -> list[str]:
    return [each.host.node for each in (await of.roster()).hosts]


async def wait_for(of: Registry, wanted: list[str]) -> None:
    for _ in range(500):
        if await names(of) == wanted:
            return
    raise AssertionError(await names(of))


async def test_hosts_are_known_from_the_first_question_on(bus_for: BusFor) -> None:
    bus = await bus_for()
    await fleet_of(bus, *(f"h{n:03}" for n in range(100)))
    known = Registry(bus)
    found = (await known.roster()).hosts
    assert len(found) == 100 and not any(each.lost for each in found)
    await bus.bucket(memory.NODES).delete("h000")
    await wait_for(known, [f"h{n:03}" for n in range(1, 100)])
    await known.close()


async def test_a_host_tells_of_itself_and_says_whether_it_could(bus_for: BusFor, nats_server: NatsServer) -> None:
    bus = await bus_for()
    await fleet_of(bus, "h1")

    async def describe() -> Host:
        return Host(node=bus.node, running=3)

    presence = Presence(bus, describe)
    assert await presence.tell()
    entry = await bus.bucket(memory.HOSTS).get(bus.node)
    assert entry and entry.value and entry.value.running == 3
    nats_server.kill()
    assert not await presence.tell()


async def test_nobody_who_asks_waits_for_ever(
    bus_for: BusFor, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PATIENCE", 0.5)
    known = Registry(await bus_for(strict=False))
    with pytest.raises(Unavailable, match="no hub of it can be reached"):
        await known.roster()
    await known.close()


async def test_who_is_not_asked_stops_following(bus_for: BusFor, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = await bus_for()
    await fleet_of(bus, "h1")
    monkeypatch.setattr(registry, "IDLE", 0.2)
    known = Registry(bus)
    assert await names(known) == ["h1"]
    task = known._task
    assert task
    await task
    await fleet_of(bus, "h2")
    assert await names(known) == ["h1", "h2"]
    await known.close()
