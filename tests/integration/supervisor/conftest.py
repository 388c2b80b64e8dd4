"""An engine without its daemon in namespaces of its own: bus, supervisor, runtime, network, nursery and a registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from seaway_bus import Bus
from seaway_protocol import shim
from seaway_protocol import supervisor as wire
from seaway_protocol.kinds import Call, Empty
from seaway_protocol.types import Container, ContainerSpec, NetworkSpec, ProcessSpec
from support import registry
from support.bus import BusFor, NatsServer, eventually
from support.network import PrivateHost, host, nats_server

__all__ = ["host", "nats_server"]

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)

_TESTS = Path(registry.__file__).parents[1]
_PATH = ":".join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH", ""))))

SERVICES = {"network": "network", "runtime": "runtime", "shim": "nursery", "supervisor": "supervisor"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.root)


class Engine:
    """The processes, and the supervisor's calls as a client makes them."""

    def __init__(self, host: PrivateHost, server: NatsServer, directory: Path, registry_address: str) -> None:
        self.host = host
        self.server = server
        self.directory = directory
        self.registry = registry_address
        self.cgroup = f"seaway-test-{secrets.token_hex(4)}"
        self.bus: Bus
        self.kill_orders = directory / "kill-orders"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def run_dir(self) -> Path:
        return self.directory / "run"

    def start(self, *names: str) -> None:
        for name in names or SERVICES:
            log = (self.directory / f"{name}.log").open("ab")
            program = ["-m", f"seaway_{name}"]
            if name == "supervisor":  # the same, but for its end
                program = ["-m", "support.killed_supervisor", str(self.kill_orders)]
            command = ["env", f"PYTHONPATH={_PATH}", sys.executable, *program, "--config", str(self._settings(name))]
            self._processes[name] = subprocess.Popen(self.host.command(*command), stdout=log, stderr=log)

    def order_death(self, when: str) -> None:
        """Have the supervisor killed at one of its next commits; see `support.killed_supervisor`."""
        draft = self.kill_orders.with_suffix(".draft")
        draft.write_text(when)
        draft.rename(self.kill_orders)

    async def killed_at(self, orders: str, ask: Callable[[], Awaitable[object]]) -> bool:
        """Ask; whether the supervisor came as far as to be killed. What it answers before its death must be so."""
        self.order_death(orders)
        asked = asyncio.ensure_future(ask())
        while not asked.done() and not self.died("supervisor"):
            await asyncio.wait([asked], timeout=0.02)
        try:
            self.kill_orders.unlink()
        except FileNotFoundError:  # taken, perhaps at a write behind the answer
            await eventually(lambda: self.died("supervisor"))
            asked.cancel()
            await asyncio.wait([asked])
            return True
        await asked
        return False

    def died(self, name: str) -> bool:
        """Whether a process has ended by itself, or by its orders; then it may be started again."""
        if name in self._processes and self._processes[name].poll() is None:
            return False
        self._processes.pop(name, None)
        return True

    def kill(self, *names: str, how: signal.Signals = signal.SIGKILL) -> None:
        for name in names:
            process = self._processes.pop(name)
            process.send_signal(how)
            process.wait(10)

    def signal(self, name: str, how: signal.Signals) -> None:
        """Freeze or thaw a service."""
        self._processes[name].send_signal(how)

    def stop(self) -> None:
        for name in list(self._processes):
            self.kill(name, how=signal.SIGTERM)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def _settings(self, name: str) -> Path:
        path = self.directory / f"{name}.toml"
        values = {
            "node": self.server.node,
            "bus_url": self.server.url,
            "credentials": str(self.server.credentials(SERVICES[name])),
            "run_dir": str(self.run_dir),
            "state_dir": str(self.state_dir),
            "log_level": "debug",
        }
        if name == "shim":
            values["shim_key"] = str(self.server.configuration.shim_key)
        if name == "supervisor":
            values["cgroup_parent"] = self.cgroup
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
        return path

    # -- as a client ----------------------------------------------------------------------------------------------

    async def ask(self, call: Call[Any, Any], request: Any = Empty(), **options: Any) -> Any:  # noqa: B008
        return await self.bus.call(call, request, **{"patience": 45, "seconds": 90, **options})

    async def create(self, *args: str, name: str = "", image: str = "busybox", **fields: Any) -> str:
        fields.setdefault("network", NetworkSpec(mode="none"))
        process = fields.pop("process", ProcessSpec(args=args))
        spec = ContainerSpec(image=f"{self.registry}/{image}:1", process=process, **fields)
        return str((await self.ask(wire.create, wire.Create(spec=spec, name=name))).id)

    async def run(self, *args: str, **options: Any) -> str:
        id = await self.create(*args, **options)
        await self.ask(wire.start, wire.Reference(container=id))
        return id

    async def inspect(self, reference: str) -> Container:
        found: Container = await self.ask(wire.inspect, wire.Reference(container=reference))
        return found

    async def until(self, id: str, condition: Callable[[Container], bool], seconds: float = 10.0) -> Container:
        async with asyncio.timeout(seconds):
            while not condition(container := await self.inspect(id)):
                await asyncio.sleep(0.02)
        return container

    async def exited(self, id: str, seconds: float = 10.0) -> Container:
        return await self.until(id, lambda container: container.state.status == "exited", seconds)

    async def logs(self, id: str, **wanted: Any) -> bytes:
        flow = self.bus.new_flow()
        async with self.bus.receiver(wire.logs_flow, flow) as lines:
            await self.ask(wire.logs, wire.Logs(container=id, flow=flow, **wanted))
            return b"".join([data async for _, data in lines])

    async def output(self, *args: str, **options: Any) -> str:
        """What a container that is run to its end prints."""
        id = await self.run(*args, **options)
        await self.exited(id)
        return (await self.logs(id)).decode()

    async def happened(self, id: str, follow: bool = False) -> list[str]:
        """The names of the events about a container so far."""
        events = self.bus.events(wire.SUPERVISOR.events, id=id, since=BEGINNING, follow=follow)
        return [occurrence.event.name async for occurrence in events]


@pytest.fixture
def images(host: PrivateHost) -> Iterator[str]:
    """A registry in the engine's network; its address."""
    # Entering a mount namespace leaves the directory.
    with registry.serving(lambda *command: host.command("env", "-C", str(_TESTS), *command)) as address:
        yield address


@pytest.fixture
async def engine(
    host: PrivateHost, nats_server: NatsServer, bus_for: BusFor, images: str, tmp_path: Path
) -> AsyncIterator[Engine]:
    """A running engine with the image busybox."""
    engine = Engine(host, nats_server, tmp_path, images)
    engine.start()
    engine.bus = await bus_for("tester")
    try:
        await engine.ask(wire.pull, wire.Pull(reference=f"{images}/busybox:1"))
        yield engine
    finally:
        await _end_containers(engine)
        engine.stop()
        for name in SERVICES:
            sys.stderr.write(f"--- {name}\n{engine.log(name)}\n")


async def _end_containers(engine: Engine) -> None:
    """Remove what a test has left, by the engine where it can, by hand where it can't."""
    with contextlib.suppress(Exception):
        for container in (await engine.ask(wire.list_, wire.ListContainers(), patience=1)).containers:
            with contextlib.suppress(Exception):
                await engine.ask(wire.remove, wire.Remove(container=container.id, force=True, volumes=True))
        await eventually(lambda: not list((engine.state_dir / "containers").iterdir()), 10)
    for group in Path("/sys/fs/cgroup").glob(f"*/{engine.cgroup}"):
        for procs in group.glob("*/cgroup.procs"):
            for pid in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for below in (*group.glob("*/"), group):
            with contextlib.suppress(OSError):
                below.rmdir()
    with contextlib.suppress(Exception):
        for pid in (await engine.ask(shim.list_, patience=0)).pids.values():
            os.kill(pid, signal.SIGKILL)
