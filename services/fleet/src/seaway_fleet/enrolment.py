"""What the fleet's leader does for hosts that come, stay and go.

Every record is written with the revision that was read, so that two who do the same at once (a leader that has lost its
lease and doesn't know it yet, and the next one) can't both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from seaway_bus import Bus, Endpoints, Records
from seaway_protocol import enrolment, fleet, memory
from seaway_protocol.enrolment import ENROLMENT, Admission, Admitted, Departure, Hubs, IssuedToken, Member, Renewal
from seaway_protocol.errors import Conflict, DeadlineExceeded, NotFound, Unavailable
from seaway_protocol.fleet import LEADER, NewToken, Node, Token
from seaway_protocol.kinds import Empty, Message

from seaway_fleet import admission, tokens
from seaway_fleet.authority import Authority
from seaway_fleet.sealing import seal

log = logging.getLogger("seaway.fleet")

T = TypeVar("T")
V = TypeVar("V", bound=Message)

SECOND = 1_000_000_000


class Enrolment:
    """The endpoints that only the leader answers. `fence` is its lease's revision, `life` a credential's seconds."""

    leader = Endpoints()
    hosts = Endpoints()

    def __init__(self, bus: Bus, authority: Authority, fence: int, life: float) -> None:
        self._bus = bus
        self._authority = authority
        self._fence = fence
        self._life = life
        self._members = bus.bucket(memory.NODES)
        self._tokens = bus.bucket(memory.TOKENS)
        self._hubs = bus.bucket(memory.HUBS)

    @asynccontextmanager
    async def serving(self, version: str) -> AsyncIterator[None]:
        """Answer, for the time of a `with`."""
        served = [
            await self._bus.serve(LEADER, Enrolment.leader.bind(self), version=version),
            await self._bus.serve(ENROLMENT, Enrolment.hosts.bind(self), version=version),
        ]
        try:
            yield
        finally:
            await asyncio.gather(*(each.stop() for each in served))

    # -- asked by people ----------------------------------------------------------------------------------------

    @leader.on(fleet.new_token)
    async def new_token(self, request: NewToken) -> Token:
        """A token for a host to join with."""
        admission.check_token(request)
        secret, expires = tokens.new_secret(), time.time_ns() + request.seconds * SECOND
        key = tokens.key_of(secret)
        issued = IssuedToken(role=request.role, hub=request.hub, once=request.once, expires=expires)
        await self._tokens.create(key, issued)
        credential = await asyncio.to_thread(self._authority.joiner, f"joiner-{key[:12]}", expires // SECOND)
        line = tokens.encode(
            tokens.JoinToken(
                self._authority.fleet,
                await self._addresses(),
                tokens.der(self._authority.certificate),
                credential,
                secret,
            )
        )
        return Token(token=line, expires=expires)

    @leader.on(fleet.evict)
    async def evict(self, request: Node) -> Empty:
        """Shut a host out: its credentials are revoked, and its leaf is cut."""
        if request.node == self._bus.node:
            raise Conflict(
                f"cannot evict {request.node}: it leads the fleet; stop its seaway-fleet, so that another hub leads, "
                "or have it leave with: seaway fleet leave"
            )

        async def attempt() -> None:
            member, revision = await _read(self._members, request.node)
            if member is None:
                raise NotFound(f"cannot evict {request.node}: the fleet has no host of that name")
            out = msgspec.structs.replace(member, evicted=True, hub=False, fence=self._fence)
            await self._revoke(request.node, (member.key, *member.former))
            await _written(self._members.update(request.node, out, revision))

        await _until_written(attempt)
        log.info("Shut %s out of the fleet", request.node)
        return Empty()

    # -- asked by hosts -----------------------------------------------------------------------------------------

    @hosts.on(enrolment.admit)
    async def admit(self, asked: Admission) -> Admitted:
        """Let a host in, where its token allows it."""
        key = tokens.key_of(asked.secret)

        async def attempt() -> Admitted:
            token, of_token = await _read(self._tokens, key)
            known, of_known = await _read(self._members, asked.node)
            seen = await self._bus.bucket(memory.HOSTS).get(asked.node) is not None
            token = admission.check_admission(asked, token, known, seen=seen, now=time.time_ns())
            joining = self._member(asked, token)
            admitted = await self._admitted(joining, asked.request, asked.box)
            if token.used_by.get(asked.node) != asked.key:
                used = msgspec.structs.replace(token, used_by={**token.used_by, asked.node: asked.key})
                await _written(self._tokens.update(key, used, of_token))
            await self._remember(joining, of_known)
            return admitted

        admitted = await _until_written(attempt)
        log.info("Let %s into the fleet as %s", asked.node, "a hub" if admitted.hub else admitted.role)
        return admitted

    @hosts.on(enrolment.renew)
    async def renew(self, asked: Renewal) -> Admitted:
        """Another credential, for another key; the one before holds until it expires."""

        async def attempt() -> Admitted:
            known, revision = await _read(self._members, asked.node)
            member = admission.check_renewal(asked, known)
            now = time.time_ns()
            renewed = msgspec.structs.replace(
                member,
                key=asked.key,
                former=(*member.former[-3:], member.key),
                asked=asked.at,
                issued=now,
                expires=now + round(self._life * SECOND),
                fence=self._fence,
            )
            admitted = await self._admitted(renewed, asked.request, b"")
            await _written(self._members.update(asked.node, renewed, revision))
            return admitted

        return await _until_written(attempt)

    @hosts.on(enrolment.depart)
    async def depart(self, asked: Departure) -> Empty:
        """Forget a host that goes by itself."""

        async def attempt() -> None:
            known, revision = await _read(self._members, asked.node)
            member = admission.check_departure(asked, known)
            await self._revoke(asked.node, (member.key, *member.former))
            await _written(self._members.delete(asked.node, revision))
            await self._bus.bucket(memory.HOSTS).delete(asked.node)

        await _until_written(attempt)
        log.info("%s has left the fleet", asked.node)
        return Empty()

    # -- records ------------------------------------------------------------------------------------------------

    def _member(self, asked: Admission, token: IssuedToken) -> Member:
        now = time.time_ns()
        return Member(
            node=asked.node,
            role=token.role,
            key=asked.key,
            hub=token.hub,
            address=asked.address,
            issued=now,
            expires=now + round(self._life * SECOND),
            joined=now,
            fence=self._fence,
        )

    async def _remember(self, member: Member, revision: int) -> None:
        if revision:
            await _written(self._members.update(member.node, member, revision))
        else:
            await _written(self._members.create(member.node, member))
        if member.hub:
            await self._change_hubs(
                lambda now: msgspec.structs.replace(now, hubs={**now.hubs, member.node: member.address})
            )

    async def _admitted(self, member: Member, request: str, box: bytes) -> Admitted:
        expires = member.expires // SECOND
        authority = self._authority
        token = authority.leaf(member.node, member.role, member.key, expires, hub=member.hub)
        certificate = await asyncio.to_thread(authority.host_certificate, request, member.node, member.address, expires)
        return Admitted(
            fleet=authority.fleet,
            role=member.role,
            token=token,
            certificate=certificate,
            authority=authority.certificate,
            expires=member.expires,
            hub=member.hub,
            addresses=await self._addresses(),
            release=authority.release,
            sealed=seal(authority.export(), box) if member.hub and box else b"",
        )

    async def _addresses(self) -> tuple[str, ...]:
        hubs, _ = await _read(self._hubs, HUBS)
        return tuple(hubs.hubs.values()) if hubs else ()

    async def _revoke(self, node: str, keys: tuple[str, ...]) -> None:
        at = int(time.time()) + 1

        def change(now: Hubs) -> Hubs:
            if node in now.hubs and len(now.hubs) == 1:
                raise Conflict(f"cannot let {node} go: it is the fleet's only hub; have every other host leave first")
            recent = {key: when for key, when in now.revoked.items() if at - when < 2 * self._life}
            hubs = {name: address for name, address in now.hubs.items() if name != node}
            return msgspec.structs.replace(now, hubs=hubs, revoked={**recent, **dict.fromkeys(keys, at)})

        await self._change_hubs(change)

    async def _change_hubs(self, change: Callable[[Hubs], Hubs]) -> None:
        async def attempt() -> None:
            hubs, revision = await _read(self._hubs, HUBS)
            if hubs is None:
                raise Unavailable("cannot find the fleet's hubs in its memory; make it anew with: seaway fleet init")
            changed = msgspec.structs.replace(change(hubs), fence=self._fence)
            await _written(self._hubs.update(HUBS, changed, revision))

        await _until_written(attempt)


HUBS = "hubs"
"""The one key of its bucket."""


class _Overtaken(Exception):
    """Somebody else has written the record since it was read."""


async def _read(records: Records[V], key: str) -> tuple[V | None, int]:
    """A value and its revision; None and 0 where there is none."""
    entry = await records.get(key)
    return (entry.value, entry.revision) if entry else (None, 0)


async def _written(writing: Awaitable[object]) -> None:
    try:
        await writing
    except Conflict as error:
        raise _Overtaken(error.text) from error


async def _until_written(attempt: Callable[[], Awaitable[T]]) -> T:
    """Do it again where somebody else has written the same record meanwhile, or the hub was just being changed.

    Raises Unavailable where that goes on.
    """
    for last in (False, False, False, False, True):
        try:
            return await attempt()
        except _Overtaken as overtaken:
            if last:
                raise Unavailable(f"cannot change the fleet's memory: others are changing it: {overtaken}") from None
        except (Unavailable, DeadlineExceeded):
            if last:
                raise
            await asyncio.sleep(0.2)
    raise AssertionError
