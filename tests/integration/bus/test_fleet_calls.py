"""Asking other hosts: one, all at once, whoever leads. Here all are on one server; `fleet` has several."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from seaway_bus import Bus, Endpoints, current_deadline
from seaway_bus.wire import Msg
from seaway_protocol import errors
from seaway_protocol.kinds import Call, Interface, Message
from support.bus import QUICK, BusFor, NatsServer, eventually


class Ask(Message):
    number: int = 0


class Told(Message):
    node: str = ""
    data: bytes = b""
    left: float = 0.0


one = Call("one", Ask, Told)
every = Call("every", Ask, Told)
lead = Call("lead", Ask, Told, changes=True)

ONE = Interface("fleet", 1, "sw1.cmd.{node}.fleet", calls=(one,), reach="fleet")
EVERY = Interface("everyone", 1, "sw1.all.fleet", calls=(every,), reach="everyone")
LEAD = Interface("leader", 1, "sw1.ctl.fleet", calls=(lead,), reach="leader")


class Host:
    """Answers as one host; `size` is how much it tells, `silent` that it never does."""

    of_one = Endpoints()
    of_every = Endpoints()
    of_lead = Endpoints()

    def __init__(self, node: str, size: int = 0, silent: bool = False) -> None:
        self.node = node
        self.size = size
        self.silent = silent
        self.asked = 0
        self.over = asyncio.Event()

    async def _tell(self, request: Ask) -> Told:
        self.asked += 1
        if self.silent:
            await self.over.wait()
        if request.number < 0:
            raise errors.NotFound(f"cannot find {request.number}: {self.node} hasn't got it")
        left = (current_deadline() or 0) - time.time()
        return Told(node=self.node, data=bytes(self.size), left=left)

    @of_one.on(one)
    async def answer_one(self, request: Ask) -> Told:
        return await self._tell(request)

    @of_every.on(every)
    async def answer_every(self, request: Ask) -> Told:
        return await self._tell(request)

    @of_lead.on(lead)
    async def answer_lead(self, request: Ask) -> Told:
        return await self._tell(request)


async def serve(bus: Bus, host: Host) -> None:
    await bus.serve(ONE, Host.of_one.bind(host), version="0.1.0", node=host.node)
    await bus.serve(EVERY, Host.of_every.bind(host), version="0.1.0", node=host.node)


async def test_one_host_is_asked_by_its_name_and_everyone_at_once(bus_for: BusFor) -> None:
    server, client = await bus_for(), await bus_for()
    for node in ("h1", "h2", "h3"):
        await serve(server, Host(node))
    assert (await client.call(one, Ask(), node="h2")).node == "h2"
    gathered = await client.gather(every, Ask(), expected=("h1", "h2", "h3"), seconds=10)
    assert {node: told.node for node, told in gathered.answers.items()} == {n: n for n in ("h1", "h2", "h3")}
    assert gathered.missing == () and gathered.errors == {}


async def test_gathering_ends_when_all_have_answered_and_marks_who_has_not(bus_for: BusFor) -> None:
    server, client = await bus_for(), await bus_for()
    await serve(server, Host("h1"))
    silent = Host("h2", silent=True)
    await serve(server, silent)
    started = time.monotonic()
    assert set((await client.gather(every, Ask(), expected=("h1",), seconds=30)).answers) == {"h1"}
    assert time.monotonic() - started < 15
    partial = await client.gather(every, Ask(), expected=("h1", "h2", "h4"), seconds=0.5)
    assert set(partial.answers) == {"h1"} and partial.missing == ("h2", "h4")
    unnamed = await client.gather(every, Ask(), seconds=0.5)
    assert set(unnamed.answers) == {"h1"} and set(unnamed.missing) <= {"h2"}  # it may say that it was too late
    silent.over.set()


async def test_what_a_host_refuses_is_its_error_alone(bus_for: BusFor) -> None:
    server, client = await bus_for(), await bus_for()
    await serve(server, Host("h1"))
    gathered = await client.gather(every, Ask(number=-4), expected=("h1",), seconds=10)
    assert isinstance(gathered.errors["h1"], errors.NotFound) and not gathered.answers and not gathered.missing


async def test_where_nobody_is_there_gathering_ends_at_once(bus_for: BusFor) -> None:
    client = await bus_for()
    started = time.monotonic()
    assert (await client.gather(every, Ask(), expected=("h1",), seconds=30)).missing == ("h1",)
    assert time.monotonic() - started < 10


async def test_a_thousand_answers_of_twenty_kibibytes_arrive(bus_for: BusFor) -> None:
    """None is lost, and nobody is cut for reading too slowly; how long it takes is measured elsewhere."""
    nodes = [f"h{n}" for n in range(1000)]
    servers, client = [await bus_for() for _ in range(2)], await bus_for()
    for n, node in enumerate(nodes):
        await servers[n % 2].serve(EVERY, Host.of_every.bind(Host(node, 20 * 1024)), version="0.1.0", node=node)
    started = time.monotonic()
    gathered = await client.gather(every, Ask(), expected=nodes, seconds=60)
    print(f"{time.monotonic() - started:.3f} s")
    assert len(gathered.answers) == 1000 and not gathered.missing and not gathered.errors
    assert client._connection.reconnects == 0


async def test_whoever_leads_is_asked_without_its_name_and_can_stop(bus_for: BusFor) -> None:
    first, second, client = await bus_for(), await bus_for(), await bus_for()
    with pytest.raises(errors.Unavailable, match="leader"):
        await client.call(lead, Ask())
    served = await first.serve(LEAD, Host.of_lead.bind(Host("h1")), version="0.1.0", node="h1")
    assert (await client.call(lead, Ask())).node == "h1"
    await served.stop()
    with pytest.raises(errors.Unavailable):
        await client.call(lead, Ask())
    await second.serve(LEAD, Host.of_lead.bind(Host("h2")), version="0.1.0", node="h2")
    assert (await client.call(lead, Ask())).node == "h2"
    again = await first.serve(LEAD, Host.of_lead.bind(Host("h1")), version="0.1.0", node="h1")
    await again.stop()
    assert (await client.call(lead, Ask())).node == "h2"


async def test_the_lead_may_change_while_it_is_asked(bus_for: BusFor) -> None:
    first, second, client = await bus_for(), await bus_for(), await bus_for()
    frozen = Host("h1", silent=True)
    await first.serve(LEAD, Host.of_lead.bind(frozen), version="0.1.0", node="h1")
    asking = asyncio.create_task(client.call(lead, Ask(), seconds=30, patience=10))
    await eventually(lambda: frozen.asked)
    await first._connection.close()  # as if it were killed
    await second.serve(LEAD, Host.of_lead.bind(Host("h2")), version="0.1.0", node="h2")
    assert (await asking).node == "h2"
    frozen.over.set()
    first._served.clear()


async def test_another_hosts_clock_doesnt_matter(bus_for: BusFor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What crosses says how long it may take, not until when."""
    server, client = await bus_for(), await bus_for()
    await serve(server, Host("h2"))
    heard: list[Msg] = []
    (await bus_for())._connection.subscribe("sw1.cmd.h2.fleet.one", heard.append)
    await client.settle()
    told = await client.call(one, Ask(), node="h2", seconds=7)
    assert 5 < told.left <= 7
    await eventually(lambda: heard)
    assert "Sw-Deadline" not in heard[0].headers and 6000 < int(heard[0].headers["Sw-Within"]) <= 7000


async def test_a_question_whose_answer_should_go_elsewhere_is_not_answered(bus_for: BusFor) -> None:
    """Else whoever may ask could have us say something to others in our name."""
    server, client = await bus_for(), await bus_for()
    host = Host("h2")
    await serve(server, host)
    heard: list[Msg] = []
    for subject in ("sw1.cmd.h3.fleet.one", "sw1.evt.h2.container.started.c1", "_INBOX_daemon.guessed"):
        client._connection.subscribe(subject, heard.append)
        for asked in ("sw1.cmd.h2.fleet.one", "sw1.all.fleet.every"):
            client._connection.publish(asked, b"", reply=subject)
    await client.settle()
    await client.call(one, Ask(), node="h2")
    assert host.asked == 1
    assert {message.subject for message in heard} == {"sw1.cmd.h3.fleet.one"} or not heard


async def test_a_gathering_ends_when_the_bus_does(bus_for: BusFor, nats_server: NatsServer) -> None:
    server, client = await bus_for(), await bus_for(patience=QUICK)
    silent = Host("h1", silent=True)
    await serve(server, silent)
    asking = asyncio.create_task(client.gather(every, Ask(), expected=("h1",), seconds=60))
    await eventually(lambda: silent.asked)
    nats_server.kill()
    async with asyncio.timeout(20):
        assert (await asking).missing == ("h1",)
    silent.over.set()
    server._served.clear()
    nats_server.start()


async def test_each_hosts_service_is_found_by_any_client(bus_for: BusFor) -> None:
    server, client = await bus_for(), await bus_for()
    await serve(server, Host("h1"))
    reply = await client._requests.send("$SRV.INFO.seaway-everyone", b"", None, 5)
    assert json.loads(reply.data)["endpoints"][0]["subject"] == "sw1.all.fleet.every"
