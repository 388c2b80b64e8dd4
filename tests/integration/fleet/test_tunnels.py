"""The way to another host's engine over real leaves: who may take it, and what happens when the leaf is cut."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from seaway_bus import Bus, Endpoints, Pace
from seaway_fleet.tunnel import TunnelEndpoints
from seaway_protocol import fleet
from seaway_protocol.actor import Actor
from seaway_protocol.errors import Error, Unsupported
from seaway_protocol.fleet import FLEET, Dial
from support.bus import eventually
from support.fleet_bus import FleetBus

ALICE = Actor(name="alice", role="admin", address="198.51.100.7:1", certificate="ab")
PACE = Pace(heartbeat=0.5, repeat=0.3, silence=4.0)


@dataclass
class Engine:
    """What a host's engine is told; it gives everything back."""

    path: Path
    received: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.received.append(data)
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def engine(fleet_bus: FleetBus, tmp_path: Path) -> AsyncIterator[Engine]:
    """The engine of h2, in a fleet of three, with its fleet service."""
    await fleet_bus.start("h1", "h2", "h3")
    engine = Engine(tmp_path / "engine.sock")
    server = await asyncio.start_unix_server(engine, str(engine.path))
    bus = await fleet_bus.bus("h2", "fleet", pace=PACE)
    tunnels = TunnelEndpoints(bus, engine.path)
    endpoints = Endpoints()

    async def refuse(request: Any) -> Any:
        raise Unsupported(f"not here: {request!r}")

    call: Any
    for call in FLEET.calls:
        endpoints.on(call)(tunnels.dial if call is fleet.dial else refuse)
    await bus.serve(FLEET, endpoints, version="0")
    yield engine
    await tunnels.stop()
    server.close()


async def dialled(bus: Bus, asking: str, actor: Actor = ALICE) -> tuple[Any, Any]:
    """Our ends of a connection to h2's engine, as host `asking`."""
    requests, answers = bus.new_flow(), bus.new_flow()
    receiver = await bus.receiver(f"fleet.{asking}", answers, node="h2")
    sender = await bus.sender(f"fleet.{asking}", requests, node="h2")
    request = Dial(actor=actor, node=asking, requests=requests, answers=answers)
    await bus.call(fleet.dial, request, node="h2", patience=20)
    return receiver, sender


async def test_the_engine_learns_who_asks_before_anything_else(fleet_bus: FleetBus, engine: Engine) -> None:
    h1 = await fleet_bus.bus("h1", "daemon", pace=PACE)
    receiver, sender = await dialled(h1, "h1", Actor(name="alice", role="viewer", node="h9", certificate="ab"))
    await sender.write(b"GET / HTTP/1.1\r\n\r\n")
    _, data = await asyncio.wait_for(receiver.read(), 30)
    line, _, rest = data.partition(b"\r\n")
    assert line == b'SEAWAY-ACTOR {"name":"alice","role":"viewer","node":"h1","certificate":"ab"}'
    assert rest.startswith(b"GET / HTTP/1.1\r\n")
    await sender.abort()
    await receiver.aclose()


async def test_nobody_asks_in_another_hosts_name(fleet_bus: FleetBus, engine: Engine) -> None:
    """h3 is all the fleet's own, with every right on its own bus, and says that it is h1."""
    eve = await fleet_bus.bus("h3", "tester", strict=False, pace=PACE)
    _, sender = await dialled(eve, "h1")
    await eventually(lambda: engine.connections == 1, 20)
    await sender.write(b"POST /containers/x/kill HTTP/1.1\r\n\r\n")
    with pytest.raises(Error):
        await asyncio.wait_for(sender.drain(), 30)
    assert engine.received == []


async def test_nobody_hears_or_says_anything_in_anothers_connection(fleet_bus: FleetBus, engine: Engine) -> None:
    h1 = await fleet_bus.bus("h1", "daemon", pace=PACE)
    eve = await fleet_bus.bus("h3", "tester", strict=False)
    heard: list[bytes] = []
    eve._connection.subscribe("sw1.io.>", lambda message: heard.append(message.data))
    await eve.settle()
    receiver, sender = await dialled(h1, "h1")
    await sender.write(b"secret")
    assert b"secret" in (await asyncio.wait_for(receiver.read(), 30))[1]
    eve._connection.publish(sender.name, b"nonsense")
    eve._connection.publish(receiver.name, b"nonsense")
    await sender.write(b"more")
    assert (await asyncio.wait_for(receiver.read(), 30))[1] == b"more"
    await eve.settle()
    assert set(heard) <= {b"nonsense"}, "what is its own it hears, of the other two nothing"
    assert b"nonsense" not in b"".join(engine.received)
    await sender.abort()
    await receiver.aclose()


async def test_a_leaf_that_is_cut_for_a_moment_costs_nothing(fleet_bus: FleetBus, engine: Engine) -> None:
    h1 = await fleet_bus.bus("h1", "daemon", pace=Pace())
    receiver, sender = await dialled(h1, "h1")
    await sender.write(b"before")
    assert (await asyncio.wait_for(receiver.read(), 30))[1].endswith(b"before")
    host = fleet_bus.hosts["h1"]
    host.server.restart()
    await sender.write(b"after")
    assert (await asyncio.wait_for(receiver.read(), 60))[1] == b"after"
    await sender.abort()
    await receiver.aclose()


async def test_a_leaf_that_stays_cut_ends_what_waits(fleet_bus: FleetBus, engine: Engine) -> None:
    h1 = await fleet_bus.bus("h1", "daemon", pace=PACE)
    receiver, sender = await dialled(h1, "h1")
    await sender.write(b"before")
    await asyncio.wait_for(receiver.read(), 30)
    fleet_bus.hubs[0].stop()
    began = time.monotonic()
    with pytest.raises(Error, match="is gone"):
        await asyncio.wait_for(receiver.read(), 60)
    assert time.monotonic() - began < 30
    await sender.abort()
