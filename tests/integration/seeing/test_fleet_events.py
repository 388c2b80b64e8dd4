"""What happens on all hosts, told as it happens and afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from seeing_peer import Peer


@contextlib.asynccontextmanager
async def following(daemon: Path, **query: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What a client of `GET /fleet/events` reads; entered once nothing can be missed."""
    connector = aiohttp.UnixConnector(str(daemon))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://x/fleet/events", params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield (msgspec.json.decode(line) async for line in answer.content)


async def told(daemon: Path, **query: str) -> list[tuple[str, str]]:
    """All that is told of what has happened already."""
    async with following(daemon, follow="0", **query) as lines:
        return [(each["Node"], each["id"]) async for each in lines]


async def next_of(lines: AsyncIterator[dict[str, Any]]) -> tuple[str, str]:
    each = await asyncio.wait_for(anext(lines), 20)
    return each["Node"], each["id"]


async def test_what_happens_on_any_host_is_told_at_once(daemon: Path, hosts: dict[str, Peer]) -> None:
    async with following(daemon) as lines:
        for node in ("h2", "n1", "h3"):
            await hosts[node].happened(f"on-{node}")
            assert await next_of(lines) == (node, f"on-{node}")


async def test_events_are_of_the_hosts_that_are_meant(daemon: Path, hosts: dict[str, Peer]) -> None:
    async with following(daemon, on="region=eu", filters='{"container": ["a", "b"]}') as lines:
        await hosts["h3"].happened("a")
        await hosts["h2"].happened("c")
        await hosts["h2"].happened("b")
        assert await next_of(lines) == ("h2", "b")


async def test_what_has_happened_is_told_in_order_once_and_then_goes_on(daemon: Path, hosts: dict[str, Peer]) -> None:
    begin = time.time_ns()
    for number, node in enumerate(("h2", "h3", "n1", "h2")):
        await hosts[node].happened(f"c{number}")
    since = f"{begin // 10**9}.{begin % 10**9:09}"
    assert await told(daemon, since=since) == [("h2", "c0"), ("h3", "c1"), ("n1", "c2"), ("h2", "c3")]
    assert await told(daemon, since=since, node="h3") == [("h3", "c1")]
    async with following(daemon, since=since, follow="1") as lines:
        assert [await next_of(lines) for _ in range(4)] == [("h2", "c0"), ("h3", "c1"), ("n1", "c2"), ("h2", "c3")]
        await hosts["h3"].happened("c4")
        assert await next_of(lines) == ("h3", "c4")
    assert await told(daemon, until=since) == []


async def test_a_long_past_is_paged(daemon: Path, hosts: dict[str, Peer]) -> None:
    begin = time.time() - 1
    count = 1500
    for place in range(0, count, 100):
        await asyncio.gather(
            *(hosts["h2"].happened(f"{number:04}" + "x" * 300) for number in range(place, place + 100))
        )
    assert len(await told(daemon, since=f"{begin:.3f}")) == count


async def test_following_ends_when_its_time_is_up(daemon: Path, hosts: dict[str, Peer]) -> None:
    async with following(daemon, until=f"{time.time() + 5:.3f}") as lines:
        await hosts["h2"].happened("within")
        assert [(each["Node"], each["id"]) async for each in lines] == [("h2", "within")]
