"""The generated credentials on a real server: everyone may do its work, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from seaway_bus import Bus, Endpoints
from seaway_bus.requests import LOCAL
from seaway_protocol import INTERFACES, errors, shim, supervisor
from seaway_protocol.kinds import ANYONE, Call, Empty, Interface
from seaway_protocol.principals import PRINCIPALS
from seaway_protocol.shim import SHIM, ShimState
from seaway_protocol.supervisor import SUPERVISOR, ContainerHappened
from support.bus import BusFor, eventually

SHARED = [principal for principal in PRINCIPALS if not principal.per_container]


def unsupported(interface: Interface) -> Endpoints:
    """Every call answered with Unsupported: enough to see that it arrives and that the answer does."""
    endpoints = Endpoints()

    async def answer(request: Any) -> Any:
        raise errors.Unsupported("cannot do this: it is a test")

    for call in interface.calls:
        endpoints.on(cast("Any", call))(answer)
    return endpoints


async def reaches(bus: Bus, call: Call[Any, Any], id: str | None) -> None:
    """The call is delivered: its handler refuses it, or the request made of nothing doesn't fit."""
    with pytest.raises((errors.Unsupported, errors.InvalidArgument)):
        answerer = {"host": LOCAL, "fleet": "n1"}.get(call.interface.reach, ANYONE)
        subject = call.subject(node="n1", **({"id": id} if id else {}))
        reply = await bus._requests.send(subject, b"", None, 2, answerer)
        from seaway_bus.failures import from_reply

        error = from_reply(reply.headers or {}, reply.data)
        assert error
        raise error


async def test_everyone_serves_and_asks_what_the_protocol_says_without_a_refusal(bus_for: BusFor) -> None:
    buses = {principal.name: await bus_for(principal.name) for principal in SHARED}
    buses["shim"] = await bus_for("shim-c1")
    for principal in PRINCIPALS:
        for interface in principal.serves:
            id = "c1" if principal.per_container else None
            await buses[principal.name].serve(interface, unsupported(interface), version="0.1.0", id=id)
    for principal in PRINCIPALS:
        for allowed in principal.calls:
            for call in allowed.calls if isinstance(allowed, Interface) else (allowed,):
                id = "c1" if call.interface is SHIM else None
                await reaches(buses[principal.name], call, id)
    for bus in buses.values():
        await bus.settle()


async def test_events_reach_those_who_listen_without_a_refusal(bus_for: BusFor) -> None:
    publisher, daemon, observer = await bus_for("supervisor"), await bus_for("daemon"), await bus_for("observer")
    await publisher.ensure_event_stream()
    async with daemon.events(SUPERVISOR.events) as at_daemon, observer.events(SUPERVISOR.events) as at_observer:
        await publisher.publish(supervisor.container_started, ContainerHappened(name="x", image="y"), id="c1")
        async with asyncio.timeout(5):
            assert (await anext(at_daemon)).event is supervisor.container_started
            assert (await anext(at_observer)).id == "c1"


async def test_stdio_flows_between_a_shim_and_the_daemon(bus_for: BusFor) -> None:
    container, daemon = await bus_for("shim-c1"), await bus_for("daemon")
    receiver = await daemon.receiver("c1", "f")
    sender = await container.sender("c1", "f")
    await sender.write(b"hello", channel=1)
    assert await receiver.read() == (1, b"hello")


async def test_a_shim_can_reach_no_other_containers_subjects(bus_for: BusFor) -> None:
    one, two = await bus_for("shim-c1", strict=False), await bus_for("shim-c2")
    asker = await bus_for("supervisor")
    state = Endpoints()
    for call in SHIM.calls:
        if call is not shim.state:

            async def refuse(request: Any) -> Any:
                raise errors.Unsupported("no")

            state.on(cast("Any", call))(refuse)

    @state.on(shim.state)
    async def tell(request: Empty) -> ShimState:
        return ShimState(status="running")

    await two.serve(SHIM, state, version="0.1.0", id="c2")
    assert (await asker.call(shim.state, Empty(), id="c2")).status == "running"
    with pytest.raises(errors.PermissionDenied):
        await one.call(shim.state, Empty(), id="c2")
    with pytest.raises(errors.PermissionDenied):
        await one.call(supervisor.info, Empty())

    def overhear(message: object) -> None:
        raise AssertionError

    before = len(one.violations)
    for subject in ("sw1.cmd.n1.shim.c2.state", "sw1.io.n1.c2.>", "_INBOX_daemon.>", "_INBOX_c2.>", "sw1.>", ">"):
        one._connection.subscribe(subject, overhear)
    await one.settle()
    await eventually(lambda: len(one.violations) == before + 6)
    await asker.call(shim.state, Empty(), id="c2")


async def test_nobody_can_answer_for_another(bus_for: BusFor) -> None:
    daemon = await bus_for("daemon", strict=False)
    await daemon.serve(SUPERVISOR, unsupported(SUPERVISOR), version="0.1.0")
    with pytest.raises(errors.Unavailable):
        report = supervisor.Report(id="c1", kind="started", sequence=1, at=0)
        await (await bus_for("shim-c1")).call(supervisor.report, report)
    assert daemon.violations


async def test_a_forged_shim_credential_is_refused(bus_for: BusFor, nats_server: Any, tmp_path: Any) -> None:
    from seaway_bus import connect
    from seaway_bus.credentials import Key, mint_shim

    account = nats_server.configuration.shim_key.read_text().split()[0]
    path = tmp_path / "forged.creds"
    path.write_text(mint_shim(f"{account} {Key.generate('account').seed}", "n1", "c1"))
    with pytest.raises(errors.PermissionDenied):
        await connect(nats_server.url, credentials=path, name="shim", node="n1", wait=5)


async def test_minting_takes_less_than_a_few_milliseconds(nats_server: Any) -> None:
    import time

    from seaway_bus.credentials import mint_shim

    seed = nats_server.configuration.shim_key.read_text()
    started = time.monotonic()
    for n in range(100):
        mint_shim(seed, "n1", f"c{n}")
    assert (time.monotonic() - started) / 100 < 0.005


def test_every_interface_is_somebodys() -> None:
    assert {i for p in PRINCIPALS for i in (*p.serves, *p.tells)} == set(INTERFACES)
