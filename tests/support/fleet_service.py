"""Hosts with a bus and a fleet service of their own, and hubs where the service has written one: a fleet on loopback.

The processes are kept as `seaway up` keeps them; of the engine there is nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from seaway_bus import Bus, connect
from seaway_bus.server import Configuration, ServerSettings, wait_ready, write_configuration
from seaway_cli.stack.hub import HubProcess
from seaway_cli.stack.layout import Layout
from seaway_cli.stack.processes import Process, Program
from seaway_cli.stack.programs import command
from seaway_fleet.place import Place, Standing
from seaway_protocol import fleet, memory
from seaway_protocol.errors import Error, Unavailable
from seaway_protocol.fleet import Init, Join, Leave, Membership, NewToken, Node, Seen
from seaway_protocol.kinds import Empty
from seaway_service.effective import toml

from support.bus import QUICK
from support.fleet_bus import free_ports

PATIENCE = 60.0
"""Seconds for what takes a fraction of one on a quiet machine."""


class FleetHost:
    """One host; `settings` are the fleet service's."""

    def __init__(self, root: Path, node: str, **settings: Any) -> None:
        self.node = node
        self.layout = Layout.of(root)
        self.address = f"127.0.0.1:{free_ports()}"
        self.settings = settings
        self._hub = HubProcess(self.layout, None)
        self._processes: dict[str, Process] = {}
        self._buses: list[Bus] = []

    async def start(self) -> None:
        """Bus and fleet service, and the hub where there is one."""
        for directory in ("services", "notify"):
            (self.layout.run / directory).mkdir(parents=True, exist_ok=True)
        (self.layout.state / "log").mkdir(parents=True, exist_ok=True)
        self.layout.etc.mkdir(parents=True, exist_ok=True)
        configuration = self.configure()
        self._run(Program("bus", (str(configuration.server), "-c", str(configuration.path)), notifies=False))
        self._hub.start()
        await asyncio.to_thread(wait_ready, configuration, PATIENCE)
        await self.start_service()

    def configure(self) -> Configuration:
        store = self.layout.bus / "jetstream"
        store.mkdir(parents=True, exist_ok=True)
        settings = ServerSettings(self.node, store, port=0, fleet=self.layout.state / "fleet")
        return write_configuration(self.layout.bus, settings)

    async def start_service(self) -> None:
        bus = self.configure()
        own: dict[str, Any] = {
            "node": self.node,
            "bus_url": bus.url,
            "credentials": str(bus.credentials("fleet")),
            "run_dir": str(self.layout.run),
            "state_dir": str(self.layout.state),
        }
        lines = (f"{key} = {toml(value)}\n" for key, value in {**own, **self.settings}.items())
        (self.layout.etc / "fleet.toml").write_text("".join(lines))
        self._run(Program("fleet", command("fleet", self.layout)))
        async with asyncio.timeout(PATIENCE):
            await self._processes["fleet"].ready.wait()

    async def stop_service(self) -> None:
        await self._processes.pop("fleet").stop()

    async def stop(self) -> None:
        for bus in self._buses:
            with contextlib.suppress(Exception):
                await bus.close()
        self._buses.clear()
        if "fleet" in self._processes:
            await self.stop_service()
        await self._hub.stop()
        for process in self._processes.values():
            await process.stop()
        self._processes.clear()

    async def crash(self) -> None:
        """All of it, at once, as in a power cut; `stop` and `start` bring it back."""
        for name in ("fleet", "hub", "bus"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.signal(name, signal.SIGSTOP)
        for process in (*self._processes.values(), *([self._hub._process] if self._hub._process else [])):
            process._stopping = True
        for name in ("fleet", "hub", "bus"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.signal(name, signal.SIGKILL)
        await self.stop()

    def _run(self, program: Program) -> None:
        process = self._processes[program.name] = Process(program, self.layout)
        process.start()

    # -- hurting it ---------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        return int((self.layout.run / "services" / f"{name}.pid").read_text())

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pid(name), number)

    # -- asking it ----------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        return Place(self.layout.state / "fleet").read()

    @property
    def left(self) -> set[str]:
        """What of a fleet there is on disk."""
        return {each.name for each in self.layout.state.iterdir()} & {"fleet", "fleet.new", "hub", "joiner.creds"} | {
            f"leaf/{each.name}" for each in (self.layout.bus / "leaf").glob("*")
        }

    def log(self, name: str = "fleet") -> str:
        return self.layout.log(name).read_text()

    async def bus(self, principal: str = "daemon") -> Bus:
        """That principal's place on this host's own bus."""
        configuration = self.configure()
        bus = await connect(
            configuration.url,
            credentials=configuration.credentials(principal),
            name=principal,
            node=self.node,
            patience=QUICK,
        )
        self._buses.append(bus)
        return bus

    async def membership(self) -> Membership:
        return await (await self._daemon()).call(fleet.membership, Empty(), patience=PATIENCE)

    async def init(self, name: str = "test") -> Membership:
        return await (await self._daemon()).call(fleet.init, Init(fleet=name, address=self.address), patience=PATIENCE)

    async def token(self, **wanted: Any) -> str:
        bus = await self._daemon()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return (await bus.call(fleet.new_token, NewToken(**wanted))).token
                except Unavailable:  # nobody leads yet
                    await asyncio.sleep(0.05)

    async def join(self, token: str, address: str = "", own: str = "") -> Membership:
        wanted = Join(token=token, address=address, own=own)
        return await (await self._daemon()).call(fleet.join, wanted, patience=PATIENCE)

    async def leave(self, *, force: bool = False) -> Membership:
        return await (await self._daemon()).call(fleet.leave, Leave(force=force), patience=PATIENCE)

    async def evict(self, node: str) -> None:
        await (await self._daemon()).call(fleet.evict, Node(node=node))

    async def seen(self) -> dict[str, Seen]:
        roster = await (await self._daemon()).call(fleet.roster, Empty(), patience=PATIENCE)
        return {each.host.node: each for each in roster.hosts}

    async def until(self, connected: bool, seconds: float = PATIENCE) -> None:
        """Wait until this host reaches its fleet, or doesn't."""
        async with asyncio.timeout(seconds):
            while (await self.membership()).connected != connected:
                await asyncio.sleep(0.1)

    async def reaches(self) -> bool:
        """Whether the fleet's memory can be reached from here now."""
        try:
            return await (await self.bus("fleet")).bucket(memory.NODES).get(self.node, 1.0) is not None
        except Error:
            return False

    async def _daemon(self) -> Bus:
        return self._buses[0] if self._buses else await self.bus()


class Hosts:
    """Makes hosts, and ends them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: list[FleetHost] = []

    async def host(self, node: str, **settings: Any) -> FleetHost:
        made = FleetHost(self._directory / f"{node}-{len(self._made)}", node, **settings)
        return await self.begin(made)

    async def begin(self, made: FleetHost) -> FleetHost:
        """Start one that was made, and end it with the others."""
        self._made.append(made)
        await made.start()
        return made

    async def fleet(self, *nodes: str, **settings: Any) -> list[FleetHost]:
        """Hosts in one fleet; the first is the hub."""
        hosts = [await self.host(node, **settings) for node in nodes]
        await hosts[0].init()
        for each in hosts[1:]:
            await each.join(await hosts[0].token())
        return hosts

    async def end(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._made))


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    """Hosts for this test alone: `h1, h2 = await hosts.fleet("h1", "h2")`."""
    made = Hosts(tmp_path)
    yield made
    await made.end()
