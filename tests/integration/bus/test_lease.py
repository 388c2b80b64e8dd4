"""One holder at a time: over a server that is killed and frozen, and holders that are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from seaway_bus import Bus
from seaway_bus.lease import now
from seaway_protocol.kinds import Bucket
from seaway_protocol.memory import LeaseRecord
from support.bus import BusFor, NatsServer, eventually

LEASES = Bucket("SW_LEASE_T", LeaseRecord)
SECONDS = 2.0

HOLDER = """
import asyncio, json, sys
from seaway_bus import connect
from seaway_bus.lease import now
from integration.bus.test_lease import LEASES
async def main(url, creds, node, seconds):
    bus = await connect(url, credentials=creds, name="tester", node=node)
    async with bus.lease(LEASES, "leader", holder=node, seconds=seconds) as lease:
        while True:
            await lease.acquired()
            while True:
                began, term = now(), lease.revision
                if not term:
                    break
                print(json.dumps([node, term, began]), flush=True)
                await asyncio.sleep(0.02)
asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
"""
"""Holds the lease where it can, and tells each time that it looks and finds that it does."""


class Holder:
    """A process of its own that contends."""

    def __init__(self, node: str, process: asyncio.subprocess.Process) -> None:
        self.node = node
        self.process = process
        self.held: list[tuple[int, float]] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            _, term, at = json.loads(line)
            self.held.append((term, at))

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.wait()
        await self._reader


@contextlib.asynccontextmanager
async def holders(server: NatsServer, *nodes: str, seconds: float = SECONDS) -> AsyncIterator[dict[str, Holder]]:
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    found = {}
    try:
        for node in nodes:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", HOLDER, server.url, str(server.credentials("tester")), node, str(seconds)),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
            )
            found[node] = Holder(node, process)
        yield found
    finally:
        for holder in found.values():
            await holder.end()


def overlaps(found: dict[str, Holder]) -> list[tuple[str, int]]:
    """Who looked and found that it held it, after somebody with a later term had."""
    looks = sorted((at, term, holder.node) for holder in found.values() for term, at in holder.held)
    highest, wrong = 0, []
    for _, term, node in looks:
        if term < highest:
            wrong.append((node, term))
        highest = max(highest, term)
    return wrong


async def made(bus: Bus) -> Bus:
    await bus.bucket(LEASES).ensure()
    return bus


async def test_one_holds_it_and_gives_it_back(bus_for: BusFor) -> None:
    one, two = await made(await bus_for()), await bus_for()
    async with two.lease(LEASES, "x", holder="h2", seconds=30) as second:
        term = await second.acquired()
        assert second.held and second.revision == term and second.holder == "h2"
        async with one.lease(LEASES, "x", holder="h1", seconds=30) as first:
            await eventually(lambda: first.holder == "h2")
            assert not first.held and first.revision == 0
            taking = asyncio.create_task(first.acquired())
            await second.__aexit__(None, None, None)  # given back: nobody waits for its seconds to be over
            began = now()
            assert await asyncio.wait_for(taking, 20) > term
            assert now() - began < 15 and first.holder == "h1" and not second.held


async def test_the_term_stays_while_it_is_renewed(bus_for: BusFor) -> None:
    bus = await made(await bus_for())
    async with bus.lease(LEASES, "x", seconds=0.6) as lease:
        term = await lease.acquired()
        entry = await bus.bucket(LEASES).get("x")
        assert entry and entry.revision == term
        renewed = asyncio.get_running_loop().time() + 2
        while asyncio.get_running_loop().time() < renewed:
            await asyncio.sleep(0.05)
        entry = await bus.bucket(LEASES).get("x")
        assert entry and entry.revision > term and entry.value and entry.value.term in (term, 0)
        assert lease.revision in (term, 0) or lease.revision > term  # a loaded machine may have made it lose it once


async def test_a_holder_whose_hub_freezes_lets_go_before_another_could_take_it(
    bus_for: BusFor, nats_server: NatsServer
) -> None:
    bus = await made(await bus_for())
    async with bus.lease(LEASES, "x", seconds=SECONDS) as lease:
        await lease.acquired()
        frozen = now()
        nats_server.freeze()
        await asyncio.wait_for(lease.lost(), 20)
        assert now() - frozen <= SECONDS + 5 and not lease.held
        nats_server.thaw()
        await asyncio.wait_for(lease.acquired(), 60)


async def test_a_frozen_holder_finds_that_it_has_lost_it(bus_for: BusFor, nats_server: NatsServer) -> None:
    await made(await bus_for())
    async with holders(nats_server, "h1", "h2") as found:
        await eventually(lambda: any(holder.held for holder in found.values()), 30)
        first = next(holder for holder in found.values() if holder.held)
        second = next(holder for holder in found.values() if holder is not first)
        first.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: second.held, 60)
        seen = len(first.held)
        first.process.send_signal(signal.SIGCONT)
        looked = len(second.held)
        await eventually(lambda: len(second.held) > looked + 20, 60)
        # At most the one look whose time was taken before it froze is told after it thawed.
        assert len(first.held) - seen <= 1 or first.held[-1][0] > second.held[0][0]
        assert not overlaps(found)


async def test_two_never_hold_it_whatever_happens(bus_for: BusFor, nats_server: NatsServer) -> None:
    """The server is killed and frozen, holders are killed and frozen: terms only grow in the order of looking."""
    await made(await bus_for())
    async with holders(nats_server, "h1", "h2", "h3") as found:
        await eventually(lambda: any(holder.held for holder in found.values()), 30)

        async def another(than: int) -> None:
            await eventually(lambda: max(h.held[-1][0] for h in found.values() if h.held) > than, 60)

        for step in ("kill server", "freeze server", "freeze holder", "freeze holder"):
            term, holder = max((h.held[-1][0], h.node) for h in found.values() if h.held)
            if step == "kill server":
                nats_server.restart()
            elif step == "freeze server":
                nats_server.freeze()
                await asyncio.sleep(SECONDS * 1.5)
                nats_server.thaw()
                await another(term)
            else:
                found[holder].process.send_signal(signal.SIGSTOP)
                await another(term)
                found[holder].process.send_signal(signal.SIGCONT)
        assert not overlaps(found)
