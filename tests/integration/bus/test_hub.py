"""Coming into a fleet and going, while everything runs: reloads, revocations, joiners, several hubs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from pathlib import Path

import pytest
from integration.bus.test_leaf import answering, serve
from seaway_bus import Bus, connect
from seaway_bus.certificates import new_authority
from seaway_bus.group import remove_hubs
from seaway_bus.hub import HubKeys, refresh_hub
from seaway_bus.hub_address import join_url
from seaway_bus.server_process import reload_server
from seaway_protocol import enrolment, errors, fleet, memory
from seaway_protocol.enrolment import ENROLMENT, Admission, Admitted
from seaway_protocol.fleet import Host
from seaway_protocol.kinds import Empty
from support.bus import QUICK, NatsServer, eventually
from support.fleet_bus import FleetBus
from support.fleet_bus import Host as Member

JOINING = Admission(secret="s", node="h9", key="K", request="R")
ADMITTED = Admitted(fleet="test", role="member", token="T", certificate="C", authority="A", expires=1)


async def reaches(bus: Bus, node: str, seconds: float = 30.0) -> None:
    """Wait until a host can ask another's fleet service."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                assert (await bus.call(fleet.membership, Empty(), node=node, seconds=2)).node == node
                return
            except errors.Error:
                await asyncio.sleep(0.05)


async def reaches_no_more(bus: Bus, node: str, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                await bus.call(fleet.membership, Empty(), node=node, seconds=2)
            except errors.Error:
                return
            await asyncio.sleep(0.05)


async def test_a_host_comes_in_and_goes_without_a_restart_of_its_bus(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1")
    (fleet_bus.directory / "h2").mkdir()
    server = NatsServer(fleet_bus.directory / "h2", "h2", domain="")
    host = Member("h2", "controller", server, fleet_bus.directory / "h2" / "fleet")
    host.write()
    server.start()
    fleet_bus.hosts["h2"] = host
    pid = server.pid
    buses = await serve(fleet_bus)
    assert (await buses["h2"].call(fleet.membership, Empty())).node == "h2"
    fleet_bus.let_in(host)
    host.write()
    assert reload_server(host.settings().store)
    await reaches(buses["h2"], "h1")
    await reaches(buses["h1"], "h2")
    for path in host.place.iterdir():
        path.unlink()
    host.write()
    assert not (server.configuration.leaf / "leaf.creds").exists()
    assert reload_server(host.settings().store)
    await reaches_no_more(buses["h1"], "h2")
    assert (await buses["h2"].call(fleet.membership, Empty())).node == "h2"
    assert server.pid == pid and all(bus._connection.reconnects == 0 for bus in buses.values())


async def test_another_credential_is_taken_up_without_a_restart(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2")
    buses = await serve(fleet_bus)
    await reaches(buses["h1"], "h2")
    host = fleet_bus.hosts["h2"]
    former, host.key = host.key, type(host.key).generate("user")
    fleet_bus.let_in(host)
    host.write()
    assert reload_server(host.settings().store)
    fleet_bus.hubs[0].revoked[former.public] = int(time.time()) + 1
    assert fleet_bus.hubs[0].write().reload()
    await reaches(buses["h1"], "h2")
    await reaches(buses["h2"], "h1")
    assert buses["h2"]._connection.reconnects == 0


async def test_who_is_shut_out_is_cut_at_once_and_comes_in_no_more(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2", "h3")
    buses = await serve(fleet_bus)
    await reaches(buses["h1"], "h2")
    fleet_bus.hubs[0].revoked[fleet_bus.hosts["h2"].key.public] = int(time.time()) + 1
    hub = fleet_bus.hubs[0].write()
    assert hub.changed and hub.reload()
    began = time.monotonic()
    await reaches_no_more(buses["h1"], "h2")
    assert time.monotonic() - began < 10
    for _ in range(20):  # it tries again all the time
        with pytest.raises(errors.Unavailable):
            await buses["h2"].call(fleet.membership, Empty(), node="h1")
        await asyncio.sleep(0.1)
    await reaches(buses["h1"], "h3", 10)
    fleet_bus.hubs[0].stop()
    await fleet_bus.hubs[0].start()
    await reaches(buses["h1"], "h3")
    with pytest.raises(errors.Unavailable):
        await buses["h2"].call(fleet.membership, Empty(), node="h1")


async def test_a_credential_that_expires_cuts_its_host(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1")
    host = await fleet_bus.add("h2")
    buses = await serve(fleet_bus)
    await reaches(buses["h1"], "h2")
    fleet_bus.let_in(host, expires=3.0)
    host.write()
    host.server.restart()
    await reaches(buses["h1"], "h2")
    await reaches_no_more(buses["h1"], "h2")


async def joined(fleet_bus: FleetBus, name: str, directory: Path, tls: ssl.SSLContext, **options: object) -> Bus:
    """A joiner's place at the hub."""
    path = directory / f"{name}.creds"
    path.write_text(fleet_bus.hubs[0].keys.joiner(name, int(time.time()) + 60))
    bus = await connect(
        join_url(fleet_bus.hubs[0].address), credentials=path, name=name, node="h9", tls=tls, patience=QUICK, wait=10
    )
    fleet_bus.buses.append((bus, bool(options.get("strict", True))))
    return bus


async def test_a_joiner_asks_to_be_let_in_and_nothing_else(fleet_bus: FleetBus, tmp_path: Path) -> None:
    await fleet_bus.start("h1")
    await fleet_bus.ensure()
    buses = await serve(fleet_bus)
    await buses["h1"].serve(ENROLMENT, answering(ENROLMENT, {enrolment.admit: ADMITTED}), version="0.1.0")
    joiner = await joined(fleet_bus, "joiner-1", tmp_path, fleet_bus.tls())
    assert (await joiner.call(enrolment.admit, JOINING, patience=10)).token == "T"
    hostile = await joined(fleet_bus, "joiner-2", tmp_path, fleet_bus.tls(), strict=False)
    for call, request in ((enrolment.renew, None), (fleet.new_token, None), (fleet.evict, None)):
        with pytest.raises((errors.PermissionDenied, errors.Unavailable)):
            await hostile._requests.send(call.subject(), b"", None, 5, "_") if request is None else None
            raise errors.Unavailable("it was answered")
    with pytest.raises((errors.PermissionDenied, errors.Unavailable)):
        await hostile.call(fleet.membership, Empty(), node="h1", seconds=3)
    with pytest.raises((errors.PermissionDenied, errors.Unavailable, errors.DeadlineExceeded)):
        await hostile.bucket(memory.TOKENS).get("x", 3)
    before = len(hostile.violations)
    heard: list[object] = []
    subjects = (">", "sw1.>", "sw1.ans.>", "sw1.ans.*.joiner-1.>", "sw1.evt.>", "sw1.mem.>", "$SYS.>", "_INBOX.>")
    for subject in subjects:
        hostile._connection.subscribe(subject, heard.append)
    await hostile.settle()
    await eventually(lambda: len(hostile.violations) == before + len(subjects))
    await joiner.call(enrolment.admit, JOINING)
    await hostile.settle()
    assert not heard


async def test_a_joiner_trusts_the_fleets_authority_alone(fleet_bus: FleetBus, tmp_path: Path) -> None:
    await fleet_bus.start("h1")
    other = ssl.create_default_context(cadata=new_authority("other").certificate)
    path = tmp_path / "j.creds"
    path.write_text(fleet_bus.hubs[0].keys.joiner("j", int(time.time()) + 60))
    url = join_url(fleet_bus.hubs[0].address)
    with pytest.raises(errors.Unavailable, match=r"(?i)certificate"):
        await connect(url, credentials=path, name="j", node="h9", tls=other, wait=1)
    forged = HubKeys.make(tmp_path / "forged", "test")
    path.write_text(forged.joiner("j", int(time.time()) + 60))
    with pytest.raises(errors.PermissionDenied):
        await connect(url, credentials=path, name="j", node="h9", tls=fleet_bus.tls(), wait=1)
    path.write_text(fleet_bus.hubs[0].keys.joiner("j", int(time.time()) - 10))
    with pytest.raises(errors.PermissionDenied):
        await connect(url, credentials=path, name="j", node="h9", tls=fleet_bus.tls(), wait=1)


async def test_a_hosts_credential_is_no_joiners_and_no_clients(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1")
    host = fleet_bus.hosts["h1"]
    with pytest.raises(errors.PermissionDenied):
        await connect(
            join_url(fleet_bus.hubs[0].address),
            credentials=host.place / "leaf.creds",
            name="h1",
            node="h1",
            tls=fleet_bus.tls(),
            wait=1,
        )


async def test_the_hub_gone_and_back(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2")
    await fleet_bus.ensure()
    buses = await serve(fleet_bus)
    daemon = await fleet_bus.bus("h2", "daemon")
    await reaches(daemon, "h1")
    seen: dict[str, int] = {}

    async def watch() -> None:
        async for entry in daemon.bucket(memory.HOSTS).watch(every=1.0):
            seen[entry.key] = entry.value.cpus if entry.value else -1

    task = asyncio.create_task(watch())
    await buses["h1"].bucket(memory.HOSTS).put("h1", Host(node="h1", cpus=1))
    await eventually(lambda: seen == {"h1": 1})
    fleet_bus.hubs[0].stop()
    await reaches_no_more(daemon, "h1")
    for _ in range(50):
        assert (await buses["h2"].call(fleet.membership, Empty())).node == "h2"
    with pytest.raises(errors.Unavailable, match="hub can't be reached"):
        await daemon.bucket(memory.HOSTS).get("h1")
    await fleet_bus.hubs[0].start()
    await reaches(daemon, "h1")
    await buses["h1"].bucket(memory.HOSTS).put("h1", Host(node="h1", cpus=2))
    await eventually(lambda: seen == {"h1": 2}, 30)
    task.cancel()


async def test_a_later_version_writes_the_hub_again_from_what_it_was_written_from(fleet_bus: FleetBus) -> None:
    hub = fleet_bus.hubs[0]
    hub.revoked = {"UABC": 5}
    written = hub.write()
    assert written.changed and not hub.write().changed
    assert not refresh_hub(hub.directory).changed
    (hub.directory / "digest").write_text("of another version")
    again = refresh_hub(hub.directory)
    assert again.changed and (again.host, again.port, again.store) == (written.host, written.port, written.store)
    with pytest.raises(errors.NotFound):
        refresh_hub(fleet_bus.directory)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_hub_grows_to_three_and_any_of_them_may_be_killed(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2")
    await fleet_bus.ensure()
    buses = await serve(fleet_bus)
    hosts = buses["h1"].bucket(memory.HOSTS)
    first = await hosts.put("h1", Host(node="h1", cpus=1))
    pid = fleet_bus.hubs[0].pid
    for node in ("h2", "h3"):
        await fleet_bus.grow(node)
    await fleet_bus.replicated(buses["h1"], memory.HOSTS, 3)
    assert fleet_bus.hubs[0].pid == pid and fleet_bus.hubs[0]._process and fleet_bus.hubs[0]._process.poll() is None
    entry = await hosts.get("h1")
    assert entry and entry.revision == first
    await reaches(buses["h2"], "h1")
    written = 1
    for hub in list(fleet_bus.hubs):
        hub.stop()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(errors.Error):
                    written += 1
                    await hosts.put("h1", Host(node="h1", cpus=written), 3)
                    break
                await asyncio.sleep(0.1)
        entry = await hosts.get("h1")
        assert entry and entry.value and entry.value.cpus == written
        await reaches(buses["h2"], "h1", 60)
        await hub.start()
        await fleet_bus.replicated(buses["h1"], memory.HOSTS, 3)


async def test_a_hub_that_is_killed_keeps_what_it_was_told(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1")
    await fleet_bus.ensure()
    hosts = (await fleet_bus.bus("h1", "fleet")).bucket(memory.HOSTS)
    for round in range(1, 4):
        revision = await hosts.put("h1", Host(node="h1", cpus=round))
        fleet_bus.hubs[0].stop()
        await fleet_bus.hubs[0].start()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(errors.Error):
                    entry = await hosts.get("h1", 2)
                    break
                await asyncio.sleep(0.1)
        assert entry and entry.revision == revision and entry.value and entry.value.cpus == round


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_hub_that_goes_for_good_is_missed_no_more(fleet_bus: FleetBus) -> None:
    """Three hubs, of which two go one after the other: the last decides alone again."""
    await fleet_bus.start("h1", "h2")
    await fleet_bus.ensure()
    buses = await serve(fleet_bus)
    for node in ("h2", "h3"):
        await fleet_bus.grow(node)
    await fleet_bus.replicated(buses["h1"], memory.HOSTS, 3)
    first, left = fleet_bus.hubs[0], ["h1", "h2", "h3"]
    for node in ("h3", "h2"):
        left.remove(node)
        going = fleet_bus.hubs.pop()
        if node == "h3":  # without a word; of two, the one that goes must still be there to be let go
            going.stop()
        async with asyncio.timeout(60):
            while not await removed(first.directory, first.address, left):
                await asyncio.sleep(0.1)
        going.stop()
        for hub in fleet_bus.hubs:
            hub.peers = tuple(other.address for other in fleet_bus.hubs if other is not hub)
            assert hub.write().reload()
        await fleet_bus.replicated(buses["h1"], memory.HOSTS, 1)
        await buses["h1"].bucket(memory.HOSTS).put("h1", Host(node="h1", cpus=len(left)))
    first.stop()
    await first.start()
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(errors.Error):
                entry = await buses["h1"].bucket(memory.HOSTS).get("h1", 2)
                break
            await asyncio.sleep(0.1)
    assert entry and entry.value and entry.value.cpus == 1


async def removed(directory: Path, address: str, stay: list[str]) -> list[str]:
    """What was removed; nothing while the group has no leader, who may just have gone."""
    with contextlib.suppress(errors.Unavailable):
        return await remove_hubs(directory, address, stay)
    return []
