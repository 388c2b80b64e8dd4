"""The logs of containers on several hosts as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from seeing_peer import Peer, container, know

SECOND = 1_000_000_000
BEGIN = 1_700_000_100 * SECOND


async def read(daemon: Path, **query: str) -> AsyncIterator[dict[str, Any]]:
    """What a client of `GET /fleet/logs` reads."""
    connector = aiohttp.UnixConnector(str(daemon))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://x/fleet/logs", params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            yield msgspec.json.decode(line)


async def lines(daemon: Path, **query: str) -> list[tuple[str, str, str, str]]:
    return [(each["Node"], each["Container"], each["Stream"], each["Line"]) async for each in read(daemon, **query)]


def wrote(peer: Peer, name: str, *texts: str, begin: int = BEGIN, channel: int = 1) -> None:
    peer.written.setdefault(name, []).extend(
        (channel, begin + number * SECOND, text) for number, text in enumerate(texts)
    )


async def test_lines_of_many_containers_come_in_the_order_of_time(daemons: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].containers, hosts["h2"].containers = [container("web", tier="front")], [container("db")]
    wrote(hosts["n1"], "web", "one", "three")
    wrote(hosts["h2"], "db", "two", "four", begin=BEGIN + SECOND // 2, channel=2)
    assert await lines(daemons) == [
        ("n1", "web", "stdout", "one"),
        ("h2", "db", "stderr", "two"),
        ("n1", "web", "stdout", "three"),
        ("h2", "db", "stderr", "four"),
    ]
    assert await lines(daemons, container="db", since=f"{(BEGIN + SECOND) // SECOND}") == [
        ("h2", "db", "stderr", "four")
    ]
    assert await lines(daemons, filters='{"label": ["tier"]}', on="region=us") == []


async def test_a_log_that_cannot_be_read_is_said_and_costs_no_other(daemons: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].containers = [container("web")]
    hosts["h2"].containers = [container("gone")]
    know(hosts, "h9", also=("h9",))
    wrote(hosts["n1"], "web", "one")
    hosts["h2"].engine = Path("/nowhere")
    found = await lines(daemons, timeout="3")
    assert ("n1", "web", "stdout", "one") in found
    assert [each[:3] for each in found if each[2] == "error"] == [("h9", "", "error"), ("h2", "gone", "error")]


async def test_followed_logs_take_in_what_is_started_later(daemons: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].containers = [container("web")]
    wrote(hosts["n1"], "web", "one")
    following = read(daemons, follow="1")
    first = await asyncio.wait_for(anext(following), 20)
    assert (first["Node"], first["Line"]) == ("n1", "one")
    hosts["h3"].containers = [container("late")]
    wrote(hosts["h3"], "late", "hello", begin=2**62)
    await hosts["h3"].happened("late", id=hosts["h3"].containers[0].id)
    second = await asyncio.wait_for(anext(following), 20)
    assert (second["Node"], second["Container"], second["Line"]) == ("h3", "late", "hello")
    await following.aclose()  # type: ignore[attr-defined]
