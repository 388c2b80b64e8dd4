"""The calls about this host's place in a fleet, and what it does for as long as it has one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from seaway_bus import Bus, Endpoints
from seaway_protocol import fleet, memory
from seaway_protocol.errors import Conflict, Error
from seaway_protocol.fleet import Host, Init, Join, Leave, Membership, Roster
from seaway_protocol.kinds import Empty

from seaway_fleet import __version__
from seaway_fleet.enrolment import Enrolment
from seaway_fleet.hubs import HubKeeper, follow_addresses
from seaway_fleet.joining import Joining
from seaway_fleet.leading import LEASE, Duty, lead
from seaway_fleet.life import Life, Work
from seaway_fleet.place import Place
from seaway_fleet.presence import Presence
from seaway_fleet.registry import Registry
from seaway_fleet.renewal import Renewing
from seaway_fleet.servers import Servers

log = logging.getLogger("seaway.fleet")

LOOK = 1.0
"""Seconds that the hub may take to say who leads, before it counts as away."""

FIRST_TERM, PAUSE = 5.0, 0.1
"""Seconds for which the founder of a fleet is waited for to lead it, and between two looks."""


@dataclass(frozen=True)
class Times:
    """Seconds: for how long a credential is good, and how long this host's bus may take to reach the hub."""

    life: float
    arrival: float


class MembershipEndpoints:
    """Answers for one host. `duties` are what a leader does besides enrolment."""

    endpoints = Endpoints()

    def __init__(
        self,
        bus: Bus,
        servers: Servers,
        place: Place,
        describe: Callable[[], Awaitable[Host]],
        registry: Registry,
        times: Times,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._bus = bus
        self._servers = servers
        self._place = place
        self._describe = describe
        self._times = times
        self._duties = duties
        self._joining = Joining(bus, servers, place, life=times.life, arrival=times.arrival)
        self._life = Life()
        self._registry = registry
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        """Go on as what this host is; what an ended process left half made goes."""
        self._place.tidy()
        standing = self._place.read()
        if not standing.fleet or not standing.hub:
            await asyncio.to_thread(self._servers.set_hub_aside)
        await asyncio.to_thread(self._follow_place)
        if standing.fleet:
            self._life.begin(self._works())

    def _follow_place(self) -> None:
        try:
            self._servers.follow_place()
        except (Error, OSError) as error:
            log.error("The bus's configuration can't be written: %s", error)

    async def end(self) -> None:
        """Stop it all, and stay what this host is."""
        await self._life.end()
        await self._registry.close()

    # -- calls --------------------------------------------------------------------------------------------------

    @endpoints.on(fleet.membership)
    async def membership(self, _: Empty) -> Membership:
        """What place this host has."""
        standing = self._place.read()
        if not standing.fleet:
            return Membership(node=self._bus.node)
        connected, leader = await self._leader()
        return Membership(
            node=self._bus.node,
            fleet=standing.fleet,
            role=standing.role,
            hub=standing.hub,
            addresses=standing.addresses,
            connected=connected,
            leader=leader,
        )

    @endpoints.on(fleet.init)
    async def init(self, request: Init) -> Membership:
        """Make a fleet."""
        async with self._turn:
            await self._joining.found(request)
            self._life.begin(self._works())
        return await self._led()

    @endpoints.on(fleet.join)
    async def join(self, request: Join) -> Membership:
        """Join one."""
        async with self._turn:
            await self._joining.join(request)
            self._life.begin(self._works())
        return await self.membership(Empty())

    @endpoints.on(fleet.leave)
    async def leave(self, request: Leave) -> Membership:
        """Leave it."""
        async with self._turn:
            await self._joining.say_goodbye(force=request.force)
            await self.end()
            await self._joining.go()
        return await self.membership(Empty())

    @endpoints.on(fleet.roster)
    async def roster(self, _: Empty) -> Roster:
        """The hosts of the fleet. Raises Conflict where this host is in none."""
        if not self._place.read().fleet:
            raise Conflict(f"cannot list the fleet's hosts: {self._bus.node} is in no fleet")
        return await self._registry.roster()

    async def _led(self) -> Membership:
        """This host's place, once somebody leads, or after a while."""
        place = await self.membership(Empty())
        for _ in range(round(FIRST_TERM / PAUSE)):
            if place.leader:
                break
            await asyncio.sleep(PAUSE)
            place = await self.membership(Empty())
        return place

    async def _leader(self) -> tuple[bool, str]:
        """Whether the hub can be reached, and who leads."""
        try:
            entry = await self._bus.bucket(memory.LEASES).get(LEASE, LOOK)
        except Error:
            return False, ""
        return True, entry.value.holder if entry and entry.value else ""

    # -- what goes on meanwhile ---------------------------------------------------------------------------------

    def _works(self) -> dict[str, Work]:
        works: dict[str, Work] = {
            "presence": Presence(self._bus, self._describe).keep,
            "addresses": partial(follow_addresses, self._bus, self._servers, self._place),
            "renewal": Renewing(self._bus, self._servers, self._place, self._times.life).keep,
        }
        if self._place.read().hub:
            works["hub"] = HubKeeper(self._bus, self._servers, self._place).keep
            works["leading"] = self._lead
        return works

    async def _lead(self) -> None:
        await lead(self._bus, (self._enrol, *self._duties))

    def _enrol(self, term: int) -> AbstractAsyncContextManager[object]:
        return Enrolment(self._bus, self._servers.keys, term, self._times.life).serving(__version__)
