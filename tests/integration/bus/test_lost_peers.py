"""A peer that ends while it answers is noticed; what it was asked is asked of the next one, which knows that."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from seaway_bus import Bus, context
from seaway_bus.requests import LOST
from seaway_protocol import errors
from seaway_protocol.kinds import Call
from support.bus import BusFor, NatsServer, eventually
from support.bus_peer import Made, Peer, Wish, look, make

LIMIT = 15.0
"""Seconds on a busy machine; the calls' own deadline is twice that, so that a call which waits for it is seen."""


@pytest.fixture
def peer(nats_server: NatsServer, tmp_path: Path) -> Iterator[Peer]:
    """One that serves soon."""
    peer = Peer(nats_server, tmp_path)
    peer.start()
    yield peer
    peer.end()


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While it is there, deeds are done and not answered."""
    path = tmp_path / "hold"
    path.touch()
    return path


@pytest.fixture
async def client(bus_for: BusFor) -> Bus:
    return await bus_for()


async def held(client: Bus, peer: Peer, call: Call[Wish, Made], hold: Path, **options: float) -> asyncio.Task[Made]:
    """A call that is being handled and isn't answered."""
    already = len(peer.done())
    asked = asyncio.create_task(client.call(call, Wish(hold=str(hold)), **{"patience": 20, **options}))  # type: ignore[arg-type]
    await eventually(lambda: len(peer.done()) > already or asked.done())
    return asked


@pytest.mark.parametrize("call", [make, look], ids=lambda call: call.name)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
async def test_the_next_peer_is_asked_the_same_again_and_knows_it(
    client: Bus, peer: Peer, hold: Path, call: Call[Wish, Made], how: signal.Signals
) -> None:
    asked = await held(client, peer, call, hold)
    peer.signal(how)
    peer.end()  # at once, also where it has begun to end in order
    hold.unlink()
    peer.start()
    async with asyncio.timeout(LIMIT):
        made = await asked
    assert made.again
    first, second = peer.done()
    if call.changes:
        assert first == second == f"{call.name} {made.id}", "the same key makes the same id"


async def test_a_peer_that_never_returns_is_unavailable_soon(client: Bus, peer: Peer, hold: Path) -> None:
    asked = await held(client, peer, make, hold, patience=0)
    peer.end()
    since = time.monotonic()
    with pytest.raises(errors.Unavailable, match="cannot make a thing: the peer isn't running"):
        await asked
    assert time.monotonic() - since < LIMIT


async def test_an_answer_that_comes_while_its_peer_stops_is_taken(client: Bus, peer: Peer, hold: Path) -> None:
    asked = await held(client, peer, make, hold)
    peer.signal(signal.SIGTERM)  # it listens no more, and has five seconds to finish
    await asyncio.sleep(1.5)  # long enough that the caller takes it for lost
    hold.unlink()
    async with asyncio.timeout(LIMIT):
        made = await asked
    assert not made.again and len(peer.done()) == 1


async def test_a_frozen_peer_isnt_taken_for_a_lost_one(client: Bus, peer: Peer, hold: Path) -> None:
    asked = await held(client, peer, make, hold)
    peer.signal(signal.SIGSTOP)
    hold.unlink()
    await asyncio.sleep(3)
    assert not asked.done()
    peer.signal(signal.SIGCONT)
    async with asyncio.timeout(LIMIT):
        made = await asked
    assert not made.again and len(peer.done()) == 1


async def test_the_deadline_of_a_frozen_peer_holds(client: Bus, peer: Peer, hold: Path) -> None:
    await held(client, peer, look, hold)  # it serves
    peer.signal(signal.SIGSTOP)
    since = time.monotonic()
    with pytest.raises(
        errors.DeadlineExceeded, match="cannot make a thing: the peer hasn't answered in the time given"
    ):
        await client.call(make, Wish(), seconds=2.5)
    assert 2.4 < time.monotonic() - since < LIMIT
    peer.signal(signal.SIGCONT)


async def test_a_peer_that_is_only_slow_is_asked_once(client: Bus, peer: Peer, hold: Path) -> None:
    asked = await held(client, peer, make, hold)
    await asyncio.sleep(3)
    assert not asked.done() and len(peer.done()) == 1
    hold.unlink()
    async with asyncio.timeout(LIMIT):
        assert not (await asked).again


async def test_the_question_is_answered_by_who_has_the_request_and_by_who_hasnt(
    client: Bus, peer: Peer, hold: Path
) -> None:
    await held(client, peer, make, hold)
    (mine,) = [each.reply_to for each in client._requests._pending]
    for reply_to, said in ((mine, b""), ("_INBOX_tester.other.1", LOST)):
        headers = {context.PENDING: reply_to}
        assert (await client._requests.send("sw1.cmd.n1.peer.make", b"", headers, LIMIT)).data == said


async def test_a_peer_of_a_version_that_doesnt_know_the_question_is_left_alone(bus_for: BusFor) -> None:
    """It takes the question for a request that comes after its deadline."""
    old, client = await bus_for(), await bus_for()
    heard: list[str] = []

    def answer(message: object) -> None:
        heard.append(message.reply)  # type: ignore[attr-defined]
        if len(heard) > 1:  # a question
            old._connection.publish(message.reply, b"x", headers={"Sw-Error": "deadline_exceeded"})  # type: ignore[attr-defined]

    old._connection.subscribe("sw1.cmd.n1.peer.*", answer)
    await old.settle()
    asked = asyncio.create_task(client.call(make, Wish(), seconds=20))
    await eventually(lambda: len(heard) >= 3)
    assert not asked.done()
    old._connection.publish(heard[0], b"\x81\xa2id\xa1x")
    assert (await asked).id == "x"


async def test_a_peer_whose_own_connection_broke_is_asked_again(bus_for: BusFor) -> None:
    """Its answer got lost with its connection; ours never broke, so nothing but silence tells."""
    from seaway_bus import Endpoints
    from support.bus_peer import PEER

    there, client = await bus_for(), await bus_for()
    gate, acted, endpoints = asyncio.Event(), [], Endpoints()

    @endpoints.on(make)
    async def make_it(request: Wish) -> Made:
        acted.append(1)
        await gate.wait()
        return Made(id="x")

    @endpoints.on(look)
    async def look_at_it(request: Wish) -> Made:
        return Made(id="y")

    await there.serve(PEER, endpoints, version="0.1.0")
    asked = asyncio.create_task(client.call(make, Wish(), seconds=30))
    await eventually(lambda: acted)
    reconnects = there._connection.reconnects
    await there._connection._session.end()
    gate.set()  # answered into the void
    async with asyncio.timeout(LIMIT):
        assert (await asked).id == "x"
    assert there._connection.reconnects > reconnects and len(acted) == 1
