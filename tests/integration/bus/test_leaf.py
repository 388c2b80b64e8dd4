"""Hosts as leaves of a hub, over real TLS with real tokens: what crosses."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from seaway_bus import Bus, Endpoints
from seaway_protocol import errors, fleet, memory, supervisor
from seaway_protocol.fleet import EVERYONE, FLEET, LEADER, Ask, Host, HostUsage, Membership, Node
from seaway_protocol.kinds import Empty, Interface
from seaway_protocol.supervisor import SUPERVISOR, ContainerHappened
from support.bus import eventually
from support.fleet_bus import FleetBus


def answering(interface: Interface, answers: dict[Any, Any]) -> Endpoints:
    """Endpoints that answer some calls and refuse the rest."""
    endpoints = Endpoints()
    for call in interface.calls:
        answer = answers.get(call)

        async def handle(request: Any, answer: Any = answer) -> Any:
            if answer is None:
                raise errors.Unsupported("cannot do this: it is a test")
            return answer

        endpoints.on(cast("Any", call))(handle)
    return endpoints


async def serve(fleet_bus: FleetBus, *nodes: str) -> dict[str, Bus]:
    """Each host's fleet service."""
    buses = {}
    for node in nodes or fleet_bus.hosts:
        bus = buses[node] = await fleet_bus.bus(node, "fleet")
        told = {fleet.membership: Membership(node=node)}
        await bus.serve(FLEET, answering(FLEET, told), version="0.1.0")
        usage = {fleet.usage: HostUsage(node=node, disk_bytes=7)}
        await bus.serve(EVERYONE, answering(EVERYONE, usage), version="0.1.0")
    return buses


async def test_hosts_ask_each_other_and_whoever_leads(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2", h3="member")
    buses = await serve(fleet_bus)
    daemon = await fleet_bus.bus("h2", "daemon")
    for node in ("h1", "h2", "h3"):
        assert (await daemon.call(fleet.membership, Empty(), node=node, patience=10)).node == node
    gathered = await daemon.gather(fleet.usage, Ask(), expected=("h1", "h2", "h3"), seconds=20)
    assert set(gathered.answers) == {"h1", "h2", "h3"} and gathered.answers["h3"].disk_bytes == 7
    leading = await buses["h1"].serve(LEADER, answering(LEADER, {fleet.evict: Empty()}), version="0.1.0")
    await daemon.call(fleet.evict, Node(node="x"), patience=10)
    await leading.stop()
    with pytest.raises(errors.Unavailable, match="the leader"):
        await daemon.call(fleet.evict, Node(node="x"))


async def test_a_host_that_isnt_there_is_unavailable_at_once(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2")
    daemon = await fleet_bus.bus("h2", "daemon")
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        await daemon.call(fleet.membership, Empty(), node="h9")
    assert time.monotonic() - began < 5


async def test_every_host_shares_the_fleets_memory(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2", h3="member")
    await fleet_bus.ensure()
    buses = {node: await fleet_bus.bus(node, "fleet") for node in fleet_bus.hosts}
    for node, bus in buses.items():
        await bus.bucket(memory.HOSTS).put(node, Host(node=node))
    for bus in buses.values():
        assert [entry.key for entry in await bus.bucket(memory.HOSTS).entries()] == ["h1", "h2", "h3"]
    daemon = await fleet_bus.bus("h3", "daemon")
    seen: dict[str, int] = {}

    async def watch() -> None:
        async for entry in daemon.bucket(memory.HOSTS).watch(every=600):
            seen[entry.key] = entry.value.cpus if entry.value else -1

    task = asyncio.create_task(watch())
    await eventually(lambda: set(seen) == {"h1", "h2", "h3"})
    await buses["h2"].bucket(memory.HOSTS).put("h2", Host(node="h2", cpus=5))
    await eventually(lambda: seen["h2"] == 5)
    task.cancel()


async def test_packages_come_from_the_hub(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", h2="member")
    hub, other = await fleet_bus.bus("h1", "fleet"), await fleet_bus.bus("h2", "fleet")
    await hub.store(memory.PACKAGES).ensure()
    content = bytes(range(256)) * 4096
    digest = await hub.store(memory.PACKAGES).put("seaway-shim_1.deb", [content])
    assert (await other.store(memory.PACKAGES).info("seaway-shim_1.deb")).digest == digest
    assert b"".join([piece async for piece in other.store(memory.PACKAGES).get("seaway-shim_1.deb")]) == content


async def test_events_of_every_host_reach_a_controller(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2")
    publisher, listener = await fleet_bus.bus("h1", "supervisor"), await fleet_bus.bus("h2", "daemon")
    await publisher.ensure_event_stream()
    async with listener.events(SUPERVISOR.events, node="*") as events:
        told: list[Any] = []

        async def follow() -> None:
            async for occurrence in events:
                told.append(occurrence)

        task = asyncio.create_task(follow())
        async with asyncio.timeout(20):
            while not told:  # the listener's interest takes a moment to reach the other host
                await publisher.publish(supervisor.container_started, ContainerHappened(name="x", image="y"), id="c1")
                await asyncio.sleep(0.05)
        assert told[0].node == "h1" and told[0].id == "c1" and told[0].event is supervisor.container_started
        task.cancel()


async def test_a_flow_from_host_to_host(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2", "h3")
    daemon, service = await fleet_bus.bus("h2", "daemon"), await fleet_bus.bus("h3", "fleet")
    flow = daemon.new_flow()
    receiver = await daemon.receiver("fleet.h2", flow, node="h3")
    sender = await service.sender("fleet.h2", flow, node="h3")
    content = bytes(range(256)) * 8192

    async def send() -> None:
        for at in range(0, len(content), 32768):
            await sender.write(content[at : at + 32768])
        await sender.close()

    task = asyncio.create_task(send())
    got = b"".join([data async for _, data in receiver])
    await task
    assert got == content
