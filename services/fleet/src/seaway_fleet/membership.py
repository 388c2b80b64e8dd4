"""The calls about this host's place in a fleet."""

from __future__ import annotations

from seaway_bus import Bus, Endpoints
from seaway_protocol import fleet
from seaway_protocol.errors import Unsupported
from seaway_protocol.fleet import Init, Join, Leave, Membership, Roster
from seaway_protocol.kinds import Empty


class MembershipEndpoints:
    """Answers for one host."""

    endpoints = Endpoints()

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @endpoints.on(fleet.membership)
    async def membership(self, _: Empty) -> Membership:
        """What place this host has."""
        return Membership(node=self._bus.node)

    @endpoints.on(fleet.init)
    async def init(self, request: Init) -> Membership:
        """Make a fleet."""
        raise Unsupported(f"cannot make the fleet {request.fleet}: making fleets is not supported yet")

    @endpoints.on(fleet.join)
    async def join(self, request: Join) -> Membership:
        """Join one."""
        raise Unsupported(f"cannot join the fleet: joining is not supported yet")

    @endpoints.on(fleet.leave)
    async def leave(self, request: Leave) -> Membership:
        """Leave it."""
        raise Unsupported("cannot leave the fleet: leaving is not supported yet")

    @endpoints.on(fleet.roster)
    async def roster(self, _: Empty) -> Roster:
        """The hosts of the fleet; of none where this host is in none."""
        return Roster()
