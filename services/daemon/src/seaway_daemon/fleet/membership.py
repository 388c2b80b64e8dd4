"""This host's place in the fleet: `/fleet`, and `/fleet/init`, `tokens`, `join`, `leave`, `hosts/{name}/evict`."""

from __future__ import annotations

from aiohttp import web
from seaway_protocol import fleet
from seaway_protocol.fleet import Init, Join, Leave, Membership, NewToken, Node
from seaway_protocol.kinds import Empty

from seaway_daemon.api.bodies import Body
from seaway_daemon.api.operation import Done, Shape, operation
from seaway_daemon.api.request import Request, json
from seaway_daemon.fleet.asking import controller, own
from seaway_daemon.fleet.parameters import REFUSALS
from seaway_daemon.times import SECOND


class FleetMembership(Shape):
    """A host's place. `Fleet` is "" where it is in none; `Role` is controller, member or "".

    `Hub` says that it runs one of the fleet's servers, `Connected` whether the fleet can be reached now, `Leader` who
    leads it.
    """

    node: str
    fleet: str = ""
    role: str = ""
    hub: bool = False
    addresses: tuple[str, ...] = ()
    connected: bool = False
    leader: str = ""


class FleetInit(Body):
    """A new fleet. `Address` is where other hosts reach this one, `host` or `host:port`."""

    name: str = ""
    address: str = ""


class FleetJoin(Body):
    """This host joins a fleet. `Address` is a hub's, where it isn't the one that the token says.

    `Own` is where this host is reached, which a hub must say.
    """

    token: str = ""
    address: str = ""
    own: str = ""


class FleetLeave(Body):
    """This host leaves; with `Force` also where nobody can be told."""

    force: bool = False


class FleetNewToken(Body):
    """What a token lets in: a host with a role, a hub, one host or any number, for so many `Seconds`."""

    role: str = "controller"
    seconds: int = 3600
    once: bool = True
    hub: bool = False


class FleetToken(Shape):
    """A join token, and the Unix time until which it is good."""

    token: str
    expires: int


@operation("Show this host's place in its fleet", answer=FleetMembership, refusals=(503,))
async def membership(request: Request) -> web.StreamResponse:
    """`GET /fleet`."""
    return json(_shape(await own(request.engine, fleet.membership, Empty())))


@operation("Make a fleet, with this host as its hub", answer=FleetMembership, body=FleetInit, refusals=(409, 503))
async def init(request: Request) -> web.StreamResponse:
    """`POST /fleet/init`."""
    body = await request.body(FleetInit)
    return json(_shape(await own(request.engine, fleet.init, Init(fleet=body.name, address=body.address))))


@operation("Have this host join a fleet", answer=FleetMembership, body=FleetJoin, refusals=REFUSALS)
async def join(request: Request) -> web.StreamResponse:
    """`POST /fleet/join`."""
    body = await request.body(FleetJoin)
    wanted = Join(address=body.address, token=body.token, own=body.own)
    return json(_shape(await own(request.engine, fleet.join, wanted)))


@operation("Have this host leave its fleet", answer=FleetMembership, body=FleetLeave, refusals=(409, 503))
async def leave(request: Request) -> web.StreamResponse:
    """`POST /fleet/leave`."""
    body = await request.optional_body(FleetLeave)
    return json(_shape(await own(request.engine, fleet.leave, Leave(force=body.force))))


@operation("Make a token for a host to join with", answer=FleetToken, body=FleetNewToken, refusals=REFUSALS)
async def new_token(request: Request) -> web.StreamResponse:
    """`POST /fleet/tokens`."""
    await controller(request.engine)
    body = await request.optional_body(FleetNewToken)
    wanted = NewToken(role=body.role, seconds=body.seconds, once=body.once, hub=body.hub)
    made = await request.engine.bus.call(fleet.new_token, wanted)
    return json(FleetToken(token=made.token, expires=made.expires // SECOND))


@operation("Shut a host out of the fleet", answer=Done, refusals=(404, *REFUSALS))
async def evict(request: Request) -> web.StreamResponse:
    """`POST /fleet/hosts/{name}/evict`."""
    await controller(request.engine)
    await request.engine.bus.call(fleet.evict, Node(node=request.name))
    return json(Done())


def _shape(place: Membership) -> FleetMembership:
    return FleetMembership(
        node=place.node,
        fleet=place.fleet,
        role=place.role,
        hub=place.hub,
        addresses=place.addresses,
        connected=place.connected,
        leader=place.leader,
    )
