"""Fleets are made, joined and left, by real services over real servers with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from seaway_fleet import tokens
from seaway_protocol import memory
from seaway_protocol.errors import Conflict, Error, InvalidArgument, NotFound, PermissionDenied, Unavailable
from support.fleet_service import PATIENCE, FleetHost, Hosts

IN_A_FLEET = {"fleet", "leaf/leaf.creds", "leaf/host.pem", "leaf/host.key", "leaf/authority.pem"}


async def wait_seen(host: FleetHost, *nodes: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while [node for node, seen in (await host.seen()).items() if not seen.lost] != list(nodes):
            await asyncio.sleep(0.1)


async def test_hosts_come_are_seen_and_go(hosts: Hosts) -> None:
    h1, h2 = await hosts.host("h1", labels={"disk": "fast"}), await hosts.host("h2")
    assert (await h1.membership()).fleet == ""
    made = await h1.init("home")
    assert (made.fleet, made.role, made.hub, made.addresses) == ("home", "controller", True, (h1.address,))
    assert made.connected
    joined = await h2.join(await h1.token(role="member"))
    assert (joined.fleet, joined.role, joined.hub, joined.connected) == ("home", "member", False, True)
    assert joined.leader == "h1"
    await wait_seen(h1, "h1", "h2")
    seen = await h1.seen()
    assert (seen["h1"].host.hub, seen["h1"].host.labels) == (True, {"disk": "fast"})
    assert (seen["h2"].host.role, seen["h2"].host.kernel != "") == ("member", True)
    assert (await h2.leave()).fleet == ""
    assert h2.left == set()
    await wait_seen(h1, "h1")
    assert (await h2.join(await h1.token())).role == "controller"
    await wait_seen(h2, "h1", "h2")


async def test_secrets_are_their_owners_alone(hosts: Hosts) -> None:
    h1, h2 = await hosts.fleet("h1", "h2")
    for host in (h1, h2):
        for name in ("leaf.creds", "host.key"):
            for place in (host.layout.state / "fleet", host.layout.bus / "leaf"):
                assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((h1.layout.hub / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((h1.layout.hub / "nats-server.conf").stat().st_mode) == 0o600


@pytest.fixture
async def pair(hosts: Hosts) -> tuple[FleetHost, FleetHost]:
    """A fleet of one, and a host that is in none."""
    h1 = await hosts.host("h1")
    await h1.init()
    return h1, await hosts.host("h2", arrival_seconds=15.0)


async def refused(host: FleetHost, error: type[Error], said: str, token: str, address: str = "", own: str = "") -> None:
    """Joining is refused, and leaves nothing."""
    with pytest.raises(error, match=said):
        await host.join(token, address, own)
    assert host.left == set() and (await host.membership()).fleet == ""


async def test_a_token_that_is_none(pair: tuple[FleetHost, FleetHost]) -> None:
    await refused(pair[1], InvalidArgument, "doesn't begin with swf1", "hello")
    await refused(pair[1], InvalidArgument, "isn't whole", (await pair[0].token())[:-9])


async def test_a_token_that_was_used(pair: tuple[FleetHost, FleetHost], hosts: Hosts) -> None:
    h1, h2 = pair
    token = await h1.token()
    await h2.join(token)
    h3 = await hosts.host("h3")
    await refused(h3, PermissionDenied, "h2 has used the token up", token)
    token = await h1.token(once=False)
    await h3.join(token)
    await h3.leave()
    await h3.join(token)


async def test_a_token_that_has_expired(pair: tuple[FleetHost, FleetHost]) -> None:
    token = await pair[0].token(seconds=1)
    await asyncio.sleep(2.1)  # its life is what is tested
    await refused(pair[1], PermissionDenied, "expired", token)


async def test_a_token_of_another_fleet(pair: tuple[FleetHost, FleetHost], hosts: Hosts) -> None:
    h1, h2 = pair
    other = await hosts.host("other")
    await other.init("other")
    await refused(h2, PermissionDenied, "isn't a hub of the fleet other", await other.token(), h1.address)
    forgotten = await h1.token()
    await (await h1.bus("fleet")).bucket(memory.TOKENS).delete(tokens.decode(forgotten).key)
    await refused(h2, PermissionDenied, "knows no such token", forgotten)


async def test_a_name_that_is_taken(pair: tuple[FleetHost, FleetHost], hosts: Hosts) -> None:
    h1, h2 = pair
    await h2.join(await h1.token())
    await wait_seen(h1, "h1", "h2")
    again = await hosts.host("h2")
    await refused(again, Conflict, "the fleet has a host of that name", await h1.token())


async def test_a_hub_that_is_away(pair: tuple[FleetHost, FleetHost]) -> None:
    h1, h2 = pair
    token = await h1.token()
    await h1.stop()
    await refused(h2, Unavailable, "can't be reached", token)


async def test_a_hub_that_takes_in_and_then_cannot_be_reached(pair: tuple[FleetHost, FleetHost]) -> None:
    h1, h2 = pair
    token, nowhere = await h1.token(), "127.0.0.1:1"
    bucket = (await h1.bus("fleet")).bucket(memory.HUBS)
    entry = await bucket.get("hubs")
    assert entry and entry.value
    await bucket.update("hubs", type(entry.value)(hubs={"h1": nowhere}), entry.revision)
    await refused(h2, Unavailable, "cannot join the fleet test: its hub can't be reached", token, h1.address)


async def test_who_is_in_a_fleet_joins_no_other(pair: tuple[FleetHost, FleetHost]) -> None:
    h1, h2 = pair
    await h2.join(await h1.token())
    with pytest.raises(Conflict, match="h2 is in the fleet test; leave it first"):
        await h2.join(await h1.token())
    with pytest.raises(Conflict, match="h2 is in the fleet test; leave it first"):
        await h2.init("other")
    with pytest.raises(Conflict, match="only hub"):
        await h1.leave()
    await h2.leave()
    assert (await h1.leave()).fleet == "" and h1.left == set()
    with pytest.raises(Conflict, match="is in no fleet"):
        await h1.leave()


@pytest.mark.parametrize("address", ["", "a b", "h1:0", "h1:70000", "h1:x"])
async def test_an_address_that_is_none(hosts: Hosts, address: str) -> None:
    host = await hosts.host("h1")
    host.address = address
    with pytest.raises(InvalidArgument, match="as a hub's address"):
        await host.init()
    assert host.left == set()


async def test_an_address_that_is_taken(hosts: Hosts) -> None:
    h1, h2 = await hosts.host("h1"), await hosts.host("h2")
    await h1.init()
    h2.address = h1.address
    with pytest.raises(Conflict, match=r"cannot make the fleet test: a hub at .* needs the ports .* is taken"):
        await h2.init()
    assert h2.left == set()


async def test_who_is_shut_out_is_cut_and_cannot_come_back(hosts: Hosts) -> None:
    h1, h2, h3 = await hosts.fleet("h1", "h2", "h3")
    await wait_seen(h1, "h1", "h2", "h3")
    before = time.monotonic()
    await h1.evict("h2")
    await h2.until(connected=False)
    assert time.monotonic() - before < 20
    assert await h3.reaches() and not await h2.reaches()
    await wait_seen(h1, "h1", "h3")
    h2.signal("bus", signal.SIGKILL)
    await h2.until(connected=False)
    with pytest.raises(Unavailable, match="--force"):
        await h2.leave()
    await h2.leave(force=True)
    assert h2.left == set()
    await h2.join(await h1.token())
    await wait_seen(h1, "h1", "h2", "h3")


async def test_services_that_are_killed_go_on_where_they_were(hosts: Hosts) -> None:
    h1, h2 = await hosts.fleet("h1", "h2")
    await wait_seen(h2, "h1", "h2")
    for host, name in ((h2, "fleet"), (h1, "fleet"), (h2, "bus"), (h1, "hub")):
        host.signal(name, signal.SIGKILL)
        await host.until(connected=True)
    await h1.token()
    await h2.until(connected=True)


async def test_a_host_that_loses_the_hub_works_on_alone_and_catches_up(hosts: Hosts) -> None:
    h1, h2 = await hosts.fleet("h1", "h2")
    await wait_seen(h1, "h1", "h2")
    await h1.stop()
    await h2.until(connected=False)
    began = time.monotonic()
    assert (await h2.membership()).fleet == "test"
    assert time.monotonic() - began < 10
    assert h2.standing.fleet == "test"
    await h1.start()
    await h2.until(connected=True)
    await wait_seen(h1, "h1", "h2")


async def test_credentials_are_renewed_at_half_their_life(hosts: Hosts) -> None:
    h1, h2 = await hosts.fleet("h1", "h2", credential_seconds=40.0)
    first = {each.node: each.standing for each in (h1, h2)}
    async with asyncio.timeout(PATIENCE):
        while any(each.standing.key == first[each.node].key for each in (h1, h2)):
            await asyncio.sleep(0.1)
    for host in (h1, h2):
        renewed = host.standing
        assert renewed.issued - first[host.node].issued >= 19_000_000_000
        await host.until(connected=True)
    await h1.evict("h2")
    await h2.until(connected=False)


async def test_a_hub_that_was_off_for_too_long_lets_itself_in(hosts: Hosts) -> None:
    h1 = await hosts.host("h1", credential_seconds=6.0, arrival_seconds=5.0)
    with contextlib.suppress(Unavailable):
        await h1.init()
    await h1.stop()
    while time.time_ns() < h1.standing.expires:
        await asyncio.sleep(0.1)
    h1.settings |= {"credential_seconds": 3600.0, "arrival_seconds": 45.0}
    await h1.start()
    if not h1.standing.fleet:  # it took longer to be made than its credential held
        await h1.init()
    await h1.until(connected=True)
    await h1.token()


async def test_what_a_killed_service_left_half_made_goes(hosts: Hosts) -> None:
    host = await hosts.host("h1")
    await host.stop_service()
    for name in ("fleet.new", "hub"):
        (host.layout.state / name).mkdir()
        (host.layout.state / name / "half").write_text("made")
    await host.start_service()
    assert host.left == set()
    await host.init()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with eight megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.root
async def test_a_full_disk_leaves_a_host_in_no_fleet(hosts: Hosts, small_disk: Path) -> None:
    h1 = await hosts.host("h1")
    await h1.init()
    token = await h1.token(once=False)
    h2 = await hosts.begin(FleetHost(small_disk / "h2", "h2"))
    filler = small_disk / "filler"
    for free in range(0, 60, 8):  # one step of joining further, and one more
        fill(filler, free * 1024)
        try:
            await h2.join(token)
            break
        except (Unavailable, Conflict) as error:
            assert "No space left" in error.text or "has a host of that name" in error.text, error.text
        filler.unlink()
        assert h2.left == set()
        assert (await h2.membership()).fleet == ""
        with contextlib.suppress(NotFound):
            await h1.evict("h2")
    filler.unlink(missing_ok=True)
    assert (await h2.membership()).fleet == "test"
    await h2.leave()
    assert h2.left == set()


def fill(file: Path, free: int) -> None:
    """Take all of a disk but so many bytes."""
    with file.open("wb", buffering=0) as output, contextlib.suppress(OSError):
        while True:
            output.write(bytes(65536))
    stat = os.statvfs(file.parent)
    os.truncate(file, max(0, file.stat().st_size - max(0, free - stat.f_bavail * stat.f_frsize)))


async def test_no_host_bears_the_name_of_the_fleets_memory(hosts: Hosts) -> None:
    hub = await hosts.host("hub")
    with pytest.raises(Conflict, match="can't be called hub"):
        await hub.init("home")
    assert (await hub.membership()).fleet == ""
