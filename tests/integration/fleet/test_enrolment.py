"""The leader's part, with what the fleet remembers kept by a real server."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from seaway_bus import Bus
from seaway_bus.credentials import Key
from seaway_fleet.enrolment import HUBS, Enrolment
from seaway_fleet.sealing import Box
from seaway_fleet.tokens import decode, key_of
from seaway_protocol import enrolment, fleet, memory
from seaway_protocol.enrolment import Admission, Admitted, Departure, Hubs, Renewal
from seaway_protocol.errors import Conflict, NotFound, PermissionDenied
from seaway_protocol.fleet import Host, NewToken, Node
from support.bus import BusFor

CERTIFICATE = ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x01")


class Stamps:
    """Issues what can be told apart, without keys."""

    fleet, certificate, release = "home", CERTIFICATE, "URELEASE"

    def leaf(self, node: str, role: str, key: str, expires: int, *, hub: bool) -> str:
        return f"{node} {role} {key} {hub}"

    def joiner(self, name: str, expires: int) -> str:
        return f"credential of {name}"

    def host_certificate(self, request: str, node: str, address: str, expires: int) -> str:
        return f"certificate of {node} for {request}"

    def export(self) -> bytes:
        return b"keys"


@pytest.fixture
async def bus(bus_for: BusFor) -> AsyncIterator[Bus]:
    """A leader's bus, where it serves."""
    made = await bus_for()  # on one server that is the hub itself, subjects of its domain are its own
    for bucket in memory.BUCKETS:
        await made.bucket(bucket).ensure()
    await made.bucket(memory.HUBS).put(HUBS, Hubs(hubs={"h1": "10.0.0.1:7422"}))
    async with Enrolment(made, Stamps(), fence=7, life=3600).serving("1"):
        yield made


async def token(bus: Bus, **wanted: object) -> str:
    made = await bus.call(fleet.new_token, NewToken(**wanted))  # type: ignore[arg-type]
    return decode(made.token).secret


async def admit(bus: Bus, secret: str, node: str, key: Key | None = None) -> Admitted:
    key = key or Key.generate("user")
    return await bus.call(enrolment.admit, Admission(secret=secret, node=node, key=key.public, request="r"))


async def test_a_token_lets_a_host_in_and_the_fleet_remembers_it(bus: Bus) -> None:
    made = await bus.call(fleet.new_token, NewToken(role="member", seconds=60))
    given = decode(made.token)
    assert (given.fleet, given.addresses, given.certificate) == ("home", ("10.0.0.1:7422",), CERTIFICATE)
    assert abs(made.expires - time.time_ns() - 60e9) < 10e9
    key = Key.generate("user")
    admitted = await admit(bus, given.secret, "h2", key)
    assert admitted.token == f"h2 member {key.public} False" and admitted.certificate == "certificate of h2 for r"
    assert (admitted.fleet, admitted.role, admitted.hub, admitted.sealed) == ("home", "member", False, b"")
    entry = await bus.bucket(memory.NODES).get("h2")
    assert entry and entry.value and (entry.value.key, entry.value.fence) == (key.public, 7)
    assert [each.key for each in await bus.bucket(memory.TOKENS).entries()] == [key_of(given.secret)]


async def test_of_many_who_use_one_token_at_once_one_comes_in(bus: Bus) -> None:
    secret = await token(bus)
    tried = await asyncio.gather(*(admit(bus, secret, f"h{n}") for n in range(2, 10)), return_exceptions=True)
    assert sum(isinstance(each, Admitted) for each in tried) == 1
    assert all(isinstance(each, Admitted | PermissionDenied) for each in tried), tried
    assert len(await bus.bucket(memory.NODES).entries()) == 1


async def test_of_many_who_want_one_name_at_once_one_gets_it(bus: Bus) -> None:
    secret = await token(bus, once=False)
    tried = await asyncio.gather(*(admit(bus, secret, "h2") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, Admitted) for each in tried) == 1
    assert all(isinstance(each, Admitted | Conflict) for each in tried), tried


async def test_a_host_renews_goes_and_comes_again(bus: Bus) -> None:
    first, second = Key.generate("user"), Key.generate("user")
    await admit(bus, await token(bus), "h2", first)
    await bus.bucket(memory.HOSTS).put("h2", Host(node="h2"))
    asked = Renewal(node="h2", key=second.public, request="r", at=1)
    asked = msgspec.structs.replace(asked, proof=first.sign(asked.message()))
    assert (await bus.call(enrolment.renew, asked)).token == f"h2 controller {second.public} False"
    with pytest.raises(PermissionDenied):
        await bus.call(enrolment.renew, msgspec.structs.replace(asked, at=2))
    gone = Departure(node="h2", at=3)
    gone = msgspec.structs.replace(gone, proof=second.sign(gone.message()))
    await bus.call(enrolment.depart, gone)
    assert await bus.bucket(memory.NODES).get("h2") is None and await bus.bucket(memory.HOSTS).get("h2") is None
    hubs = await bus.bucket(memory.HUBS).get(HUBS)
    assert hubs and hubs.value and set(hubs.value.revoked) == {first.public, second.public}
    with pytest.raises(NotFound):
        await bus.call(enrolment.depart, gone)
    await admit(bus, await token(bus), "h2")


async def test_who_was_shut_out_needs_a_new_token(bus: Bus) -> None:
    key, secret = Key.generate("user"), await token(bus, once=False)
    await admit(bus, secret, "h2", key)
    await bus.call(fleet.evict, Node(node="h2"))
    with pytest.raises(PermissionDenied, match="shut out"):
        await bus.call(enrolment.renew, Renewal(node="h2", key="UX", request="r", at=9))
    hubs = await bus.bucket(memory.HUBS).get(HUBS)
    assert hubs and hubs.value and hubs.value.revoked[key.public] >= int(time.time())
    await admit(bus, secret, "h2")
    with pytest.raises(NotFound, match="no host of that name"):
        await bus.call(fleet.evict, Node(node="h9"))
    with pytest.raises(Conflict, match="it leads the fleet"):
        await bus.call(fleet.evict, Node(node=bus.node))


async def test_a_hub_gets_the_keys_and_its_place_among_the_hubs(bus: Bus) -> None:
    secret, key, box = await token(bus, hub=True), Key.generate("user"), Box()
    asked = Admission(secret=secret, node="h2", key=key.public, request="r", address="10.0.0.2:7422", box=box.public)
    admitted = await bus.call(enrolment.admit, asked)
    assert admitted.hub and box.open(admitted.sealed) == b"keys"
    hubs = await bus.bucket(memory.HUBS).get(HUBS)
    assert hubs and hubs.value and hubs.value.hubs == {"h1": "10.0.0.1:7422", "h2": "10.0.0.2:7422"}
    await bus.call(fleet.evict, Node(node="h2"))
    hubs = await bus.bucket(memory.HUBS).get(HUBS)
    assert hubs and hubs.value and list(hubs.value.hubs) == ["h1"]
