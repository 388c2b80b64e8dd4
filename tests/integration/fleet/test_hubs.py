"""Three hubs, any of which may be killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from seaway_protocol import memory
from seaway_protocol.errors import Error
from support.fleet_service import FleetHost, Hosts

LONG = 120.0
"""Seconds for what takes twenty at most on a quiet machine: a lease must run out, and servers elect."""


async def leader(host: FleetHost, *but: str) -> str:
    """Who leads, once it is none of these."""
    async with asyncio.timeout(LONG):
        while True:
            place = await host.membership()
            if place.leader and place.leader not in but:
                return place.leader
            await asyncio.sleep(0.2)


async def replicated(host: FleetHost) -> None:
    """Wait until three hubs keep what is remembered, and it can be written."""
    bus = await host.bus("fleet")
    async with asyncio.timeout(LONG):
        for bucket in memory.BUCKETS:
            while True:
                try:
                    await bus.bucket(bucket).ensure(3, 5.0)
                    break
                except Error:
                    await asyncio.sleep(0.2)


async def three(hosts: Hosts) -> list[FleetHost]:
    """Three hubs that keep all of it, and a host that is none."""
    h1, h4 = await hosts.fleet("h1", "h4")
    h2, h3 = await hosts.host("h2"), await hosts.host("h3")
    for each in (h2, h3):
        joined = await each.join(await h1.token(hub=True), own=each.address)
        assert joined.hub and joined.role == "controller"
    await known((h1, h2, h3), (h1, h2, h3, h4))
    await replicated(h1)
    return [h1, h2, h3, h4]


async def known(hubs: Sequence[FleetHost], to: Sequence[FleetHost]) -> None:
    """Wait until hosts know where these hubs are."""
    addresses = {each.address for each in hubs}
    async with asyncio.timeout(LONG):
        while any(set(each.standing.addresses) != addresses for each in to):
            await asyncio.sleep(0.2)


async def test_a_fleet_outlives_any_of_three_hubs(hosts: Hosts) -> None:
    h1, _, _, h4 = await three(hosts)
    assert await leader(h4) == "h1"
    began = time.monotonic()
    await h1.crash()
    assert await leader(h4, "h1", "") in ("h2", "h3")
    print(f"another leads after {time.monotonic() - began:.1f} s")
    await h4.until(connected=True, seconds=LONG)
    h5 = await hosts.host("h5")
    await h5.join(await h4.token())
    await h1.start()
    await h1.until(connected=True, seconds=LONG)
    async with asyncio.timeout(LONG):
        while {node for node, seen in (await h1.seen()).items() if not seen.lost} != {"h1", "h2", "h3", "h4", "h5"}:
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_hub_that_is_gone_for_good_is_replaced(hosts: Hosts) -> None:
    h1, h2, h3, h4 = await three(hosts)
    await h3.crash()
    await h1.evict("h3")
    await known((h1, h2), (h1, h2, h4))
    h5 = await hosts.host("h5")
    await h5.join(await h1.token(hub=True), own=h5.address)
    await known((h1, h2, h5), (h1, h2, h4, h5))
    await replicated(h1)
    await h1.crash()  # of four votes two would be too few
    assert await leader(h4, "h1", "") in ("h2", "h5")
