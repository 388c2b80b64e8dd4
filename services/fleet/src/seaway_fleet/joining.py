"""Coming into a fleet and going: each step, and what is undone where the next one fails.

What this host makes is on disk before anybody else knows of it, and its place is taken in one step. A process that
ends in the middle leaves either a host in no fleet, whose name is free again after a minute, or one that is in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable

import msgspec
from seaway_bus import Bus
from seaway_bus.hub_address import bracketed, is_loopback, split
from seaway_bus.memory import HUB_DOMAIN
from seaway_protocol import enrolment, memory
from seaway_protocol.enrolment import Admission, Admitted, Departure
from seaway_protocol.errors import Conflict, Error, InvalidArgument, Unavailable
from seaway_protocol.fleet import Init, Join
from seaway_service.node import is_node_name

from seaway_fleet import credentials, tokens
from seaway_fleet.credentials import Keys
from seaway_fleet.hubs import HubKeeper
from seaway_fleet.knocking import at_the_door
from seaway_fleet.place import LEAF, Place
from seaway_fleet.sealing import Box
from seaway_fleet.servers import Servers
from seaway_fleet.tokens import JoinToken

log = logging.getLogger("seaway.fleet")

LOOK = 0.1


class Joining:
    """This host's way into a fleet and out of it.

    `life` is for how many seconds the founder's credential is good, `arrival` how many this host's bus may take to
    reach the hub.
    """

    def __init__(self, bus: Bus, servers: Servers, place: Place, *, life: float, arrival: float) -> None:
        self._bus = bus
        self._servers = servers
        self._place = place
        self._life = life
        self._arrival = arrival

    # -- making a fleet -----------------------------------------------------------------------------------------

    async def found(self, request: Init) -> None:
        """Make a fleet, with this host as its hub. Raises Conflict, InvalidArgument, Unavailable."""
        self._must_be_alone(f"cannot make the fleet {request.fleet}")
        if not is_node_name(request.fleet):
            raise InvalidArgument(f"cannot make the fleet {request.fleet!r}: a name has letters, digits, - and _ alone")
        address = whole(request.address)
        try:
            await asyncio.to_thread(self._found, request.fleet, address)
            await asyncio.to_thread(self._servers.follow_place)
            keeper = HubKeeper(self._bus, self._servers, self._place)
            await _within(self._arrival, lambda: keeper.remember(self._place.read()))
        except BaseException as error:
            await self._undo(hub=True)
            raise _told(error, f"cannot make the fleet {request.fleet}") from error

    def _found(self, fleet: str, address: str) -> None:
        must_be_free(address)
        authority, keys = self._servers.found(fleet), Keys.make(self._bus.node)
        admitted = credentials.own_admission(authority, keys, self._bus.node, address, self._life)
        self._servers.certify_hub(admitted.certificate, keys.tls)
        self._servers.run_hub(address)
        standing = credentials.standing(admitted, keys, self._bus.node, address, time.time_ns())
        self._place.take(standing, credentials.files(admitted, keys))

    # -- joining one --------------------------------------------------------------------------------------------

    async def join(self, request: Join) -> None:
        """Join a fleet. Raises Conflict, InvalidArgument, PermissionDenied, Unavailable."""
        self._must_be_alone("cannot join")
        token = tokens.decode(request.token)
        keys, box = await asyncio.to_thread(Keys.make, self._bus.node), Box()
        try:
            admitted, address = await self._ask(token, request, keys, box)
        except OSError as error:
            raise _told(error, f"cannot join the fleet {token.fleet}") from error
        try:
            await asyncio.to_thread(self._take, admitted, keys, box, address)
            await asyncio.to_thread(self._servers.follow_place)
            await _within(self._arrival, self._arrived)
        except BaseException as error:
            await self._depart(keys)
            await self._undo(hub=admitted.hub)
            raise _told(error, f"cannot join the fleet {admitted.fleet}") from error

    async def _ask(self, token: JoinToken, request: Join, keys: Keys, box: Box) -> tuple[Admitted, str]:
        """What the leader gives, and where this host is reached."""
        async with at_the_door(token, request.address, self._place.directory.parent) as (door, own):
            address = whole(request.own) if request.own else own
            wanted = Admission(
                secret=token.secret,
                node=self._bus.node,
                key=keys.leaf.public,
                request=keys.request,
                address=address,
                box=box.public,
            )
            return await door.call(enrolment.admit, wanted), address

    def _take(self, admitted: Admitted, keys: Keys, box: Box, address: str) -> None:
        if admitted.hub:
            self._servers.take_over(box.open(admitted.sealed))
            self._servers.certify_hub(admitted.certificate, keys.tls)
            self._servers.run_hub(address, tuple(each for each in admitted.addresses if each != address))
        standing = credentials.standing(admitted, keys, self._bus.node, address, time.time_ns())
        self._place.take(standing, credentials.files(admitted, keys))

    async def _arrived(self) -> None:
        """Raises Unavailable until the fleet's memory can be reached over this host's own bus."""
        await self._bus.bucket(memory.NODES).get(self._bus.node, 2.0)

    # -- leaving ------------------------------------------------------------------------------------------------

    async def say_goodbye(self, *, force: bool) -> None:
        """Have the fleet forget this host. Raises Conflict where it is in none, Unavailable where nobody is told."""
        standing = self._place.read()
        if not standing.fleet:
            raise Conflict(f"cannot leave: {self._bus.node} is in no fleet")
        keys = credentials.leaf_key((self._place.directory / LEAF).read_text())
        departure = Departure(node=standing.node, at=time.time_ns())
        try:
            signed = msgspec.structs.replace(departure, proof=keys.sign(departure.message()))
            await self._bus.call(enrolment.depart, signed)
        except Error as error:
            if not force and not await self._last(error):
                raise _told(error, "cannot leave (--force leaves all the same)") from error
            log.warning("Leaving the fleet without its leader: %s", error)

    async def go(self) -> None:
        """Be in no fleet any more."""
        await self._undo(hub=self._place.read().hub)

    async def _last(self, error: Error) -> bool:
        """Whether the fleet is this host alone, so that it ends with it."""
        if not isinstance(error, Conflict):
            return False
        members = [each.value for each in await self._bus.bucket(memory.NODES).entries() if each.value]
        return {each.node for each in members if not each.evicted} == {self._bus.node}

    # -- undoing ------------------------------------------------------------------------------------------------

    async def _undo(self, *, hub: bool) -> None:
        """Be in no fleet, as before."""
        self._place.give_up()
        try:
            await asyncio.to_thread(self._servers.follow_place)
        except OSError as error:
            # The bus goes on asking a hub that doesn't know it; when this service starts it is written again.
            log.error("The bus's configuration can't be written: %s", error)
        if hub:
            await asyncio.to_thread(self._servers.end_hub)

    async def _depart(self, keys: Keys) -> None:
        """Have the fleet forget this host, if it can be told; else its name is free again after a minute."""
        departure = Departure(node=self._bus.node, at=time.time_ns())
        try:
            signed = msgspec.structs.replace(departure, proof=keys.leaf.sign(departure.message()))
            await self._bus.call(enrolment.depart, signed, seconds=3.0)
        except Error as error:
            log.info("The fleet couldn't be told that this host didn't arrive: %s", error)

    def _must_be_alone(self, doing: str) -> None:
        standing = self._place.read()
        if standing.fleet:
            raise Conflict(f"{doing}: {self._bus.node} is in the fleet {standing.fleet}; leave it first")
        if self._bus.node == HUB_DOMAIN:
            raise Conflict(
                f"{doing}: a host can't be called {HUB_DOMAIN}, as the fleet's memory is; give it another name"
            )


def must_be_free(address: str) -> None:
    """Raises Conflict where one of a hub's ports is taken."""
    host, first = split(address)
    listening = host if is_loopback(host) else ""
    for port in range(first, first + 3):
        with socket.socket(socket.AF_INET6 if ":" in listening else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((listening, port))
            except OSError:
                raise Conflict(
                    f"a hub at {address} needs the ports {first} to {first + 2}, and {port} is taken"
                ) from None


def whole(address: str) -> str:
    """An address with its port. Raises InvalidArgument."""
    host, port = split(address)
    return f"{bracketed(host)}:{port}"


async def _within(seconds: float, attempt: Callable[[], Awaitable[None]]) -> None:
    """Try until it works. Raises Unavailable with what was last in the way."""
    until = time.monotonic() + seconds
    while True:
        try:
            return await attempt()
        except Error as error:
            if time.monotonic() > until:
                raise Unavailable(f"its hub can't be reached after {seconds:g} s: {error.text}") from error
        await asyncio.sleep(LOOK)


def _told(error: BaseException, doing: str) -> BaseException:
    """The error as who has asked is told: what failed, at what."""
    if isinstance(error, OSError):
        return Unavailable(f"{doing}: {error.strerror}: {error.filename}")
    if isinstance(error, Error) and not error.text.startswith("cannot join"):
        return type(error)(f"{doing}: {error.text}")
    return error
