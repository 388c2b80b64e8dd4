"""`seaway fleet upgrade` as people use it: through a host's daemon, to a leader and hosts on the bus."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from seaway_protocol import memory
from seeing_peer import Peer
from support.bus import NatsServer
from support.upgrading_fleet import NEW, OLD, SERVICES, UpgradingFleet, upgrading_fleet


class Command:
    """The command line, at the socket of one daemon."""

    def __init__(self, socket: Path, key: Path) -> None:
        self._socket = socket
        self.key = key

    async def run(self, *arguments: str, code: int = 0) -> str:
        """What it prints on both streams."""
        argv = ["-m", "seaway_cli", "--socket", str(self._socket), "fleet", *arguments]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        assert process.returncode == code, said.decode()
        return said.decode()


@pytest.fixture
async def fleet(nats_server: NatsServer, hosts: dict[str, Peer], tmp_path: Path) -> AsyncIterator[UpgradingFleet]:
    hosts["h2"].place = msgspec.structs.replace(hosts["h2"].place, hub=True)
    async with upgrading_fleet(nats_server, tmp_path / "upgraded") as found:
        yield found


@pytest.fixture
def command(daemons: Path, hosts: dict[str, Peer], fleet: UpgradingFleet, tmp_path: Path) -> Command:
    (tmp_path / "release.nk").write_text(fleet.key.seed)
    return Command(hosts["h2"].engine, tmp_path / "release.nk")


def packages(directory: Path, version: str = NEW, **services: str) -> Path:
    """A directory with a package of each service, which does as it says."""
    directory.mkdir()
    for service in SERVICES:
        what = services.get(service, "works")
        (directory / f"seaway-{service}_{version}_amd64.deb").write_text(f"{what} {service} {version}\n")
    return directory


async def test_an_upgrade_from_a_directory_and_what_is_remembered_of_it(
    command: Command, fleet: UpgradingFleet, tmp_path: Path
) -> None:
    source = packages(tmp_path / "dist")
    options = ["--from", str(source), "--key", str(command.key), "--canary", "1", "--batch", "50%"]
    async with fleet.leader():
        shown = json.loads((await command.run("upgrade", *options, "--dry-run", "--json")).splitlines()[-1])
        assert [(host["Node"], host["Wave"]) for host in shown["Hosts"]] == [("h1", 0), ("h2", 1), ("h3", 1)]
        assert len(await fleet.bus.store(memory.PACKAGES).list()) == 4
        said = await command.run("upgrade", *options)
        assert "publishing" not in said, "what was published already was sent again"
        assert said.splitlines()[-1].endswith(" done")
        assert fleet.versions() == {"h1": {NEW}, "h2": {NEW}, "h3": {NEW}}
        listed = [json.loads(line) for line in (await command.run("history", "--json")).splitlines()]
        assert [each["State"] for each in listed] == ["done"]
        assert "h3     done" in await command.run("history", listed[0]["Id"])
        status = await command.run("upgrade", "status")
        assert f"upgrade {listed[0]['Id']} is done" in status and "✓ 0.1.1" in status
        assert "cannot pause an upgrade that is done" in await command.run("upgrade", "pause", code=1)
        assert "is rolling back" in await command.run("upgrade", "rollback")
        await command.run("upgrade", "status", "--follow", code=3)
    assert fleet.versions() == {"h1": {OLD}, "h2": {OLD}, "h3": {OLD}}


async def test_a_plan_from_a_file_whose_canary_fails(command: Command, fleet: UpgradingFleet, tmp_path: Path) -> None:
    packages(tmp_path / "dist", supervisor="fails")
    (tmp_path / "plan.toml").write_text('from = "dist"\n[[waves]]\nhosts = 1\n')
    async with fleet.leader():
        said = await command.run("upgrade", str(tmp_path / "plan.toml"), "--key", str(command.key), code=3)
    assert "h1 restored: cannot use supervisor 0.1.1" in said
    assert "rolled back" in said.splitlines()[-1]
    assert fleet.versions() == {"h1": {OLD}, "h2": {OLD}, "h3": {OLD}}


async def test_watching_goes_on_with_the_next_leader(command: Command, fleet: UpgradingFleet, tmp_path: Path) -> None:
    source = packages(tmp_path / "dist", fleet="slow")
    async with fleet.leader("first"):
        watching = asyncio.create_task(command.run("upgrade", "--from", str(source), "--key", str(command.key)))
        async with asyncio.timeout(30):
            while not fleet.hosts["h1"].log():
                await asyncio.sleep(0.02)
    async with fleet.leader("second"):
        for host in fleet.hosts.values():
            host.go()
        said = await watching
    assert "second led: after first" in said
    assert said.splitlines()[-1].endswith(" done")


async def test_what_cannot_be_is_refused_in_a_sentence(command: Command, fleet: UpgradingFleet, tmp_path: Path) -> None:
    source = packages(tmp_path / "dist")
    key = ["--key", str(command.key)]
    assert "say where the packages are" in await command.run("upgrade", "--canary", "1", code=2)
    assert "run this on a host that runs the fleet's hub" in await command.run(
        "upgrade", "--from", str(source), "--key", str(tmp_path / "none"), code=1
    )
    assert "is no duration" in await command.run(
        "upgrade", "--from", str(source), *key, "--pause-between", "soon", code=1
    )
    async with fleet.leader():
        assert "cannot begin an upgrade: no host is h9" in await command.run(
            "upgrade", "--from", str(source), *key, "--node", "h9", code=1
        )
        assert "there was no upgrade yet" in await command.run("upgrade", "status", code=1)
        assert "no such upgrade: x" in await command.run("upgrade", "abort", "x", code=1)


async def test_only_a_hub_takes_packages(
    command: Command, fleet: UpgradingFleet, hosts: dict[str, Peer], tmp_path: Path
) -> None:
    hosts["h2"].place = msgspec.structs.replace(hosts["h2"].place, hub=False, addresses=("10.0.0.1:4523",))
    said = await command.run("upgrade", "--from", str(packages(tmp_path / "d")), "--key", str(command.key), code=1)
    assert "cannot publish here: h2 isn't one of the fleet's hubs; do it on 10.0.0.1" in said
