"""Seeing other hosts by way of a real hub: at once while it is there, afterwards when it was away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from seaway_daemon.fleet import events
from seaway_protocol.fleet import Membership
from seeing_peer import Peer, container, know, serving
from support.fleet_bus import FleetBus


@pytest.fixture
async def fleet(fleet_bus: FleetBus) -> dict[str, Peer]:
    """Two hosts, each on its own bus, behind one hub."""
    await fleet_bus.start("n1", "h2")
    peers: dict[str, Peer] = {}
    for node in ("n1", "h2"):
        place = Membership(node=node, fleet="test", role="controller", connected=True)
        peers[node] = Peer(await fleet_bus.bus(node), place)
        await peers[node].begin()
        peers[node].containers = [container(f"on-{node}")]
    know(peers)
    return peers


@contextlib.asynccontextmanager
async def watching(fleet_bus: FleetBus, tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Any]]:
    """The first host's daemon, and a client that follows what happens."""
    async with (
        serving(await fleet_bus.bus("n1", "daemon"), tmp_path / "engine.sock") as socket,
        aiohttp.ClientSession("http://x", connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("/fleet/events") as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield session, (msgspec.json.decode(line)["id"] async for line in answer.content)


async def seen(session: aiohttp.ClientSession) -> tuple[list[str], list[str]]:
    async with session.get("/fleet/containers", params={"timeout": "3"}) as answer:
        told = await answer.json()
        return [each["Node"] for each in told["Items"]], told["Missing"]


async def test_what_was_missed_without_a_hub_is_told_once_it_is_back(
    fleet_bus: FleetBus, fleet: dict[str, Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CATCHING_UP", 0.5)
    monkeypatch.setattr(events, "HISTORY", 1.0)
    async with watching(fleet_bus, tmp_path) as (session, told):
        assert await seen(session) == (["h2", "n1"], [])
        await fleet["h2"].happened("before")
        assert await asyncio.wait_for(anext(told), 20) == "before"

        fleet_bus.hubs[0].stop()
        await fleet["h2"].happened("missed")
        await fleet["n1"].happened("at-home")
        assert await asyncio.wait_for(anext(told), 20) == "at-home"
        assert await seen(session) == (["n1"], ["h2"])

        await fleet_bus.hubs[0].start()
        assert await asyncio.wait_for(anext(told), 60) == "missed"
        await fleet["h2"].happened("after")
        assert await asyncio.wait_for(anext(told), 20) == "after"
        assert await seen(session) == (["h2", "n1"], [])
