"""One engine's processes, from settings to readiness to the end."""

from __future__ import annotations

import asyncio
import grp
import json
import logging
import os
import pwd
import signal
from collections.abc import Mapping
from typing import Any

from seaway_bus.server import Configuration, ServerSettings, wait_ready, write_configuration

from seaway_cli.stack.hub import HubProcess
from seaway_cli.stack.layout import SERVICES, Layout
from seaway_cli.stack.options import Options
from seaway_cli.stack.processes import Process, Program, end_leftover, listen
from seaway_cli.stack.programs import command

log = logging.getLogger("seaway-up")

READY_SECONDS = 30.0
"""How long the whole stack may take to be ready."""


class Stack:
    """Everything `seaway up` keeps running: nats-server, then the services, each with its own user and settings."""

    def __init__(
        self,
        layout: Layout,
        options: Options,
    ) -> None:
        self.layout = layout
        self._options = options
        self._services = (*SERVICES, FLEET) if options.fleet or (layout.state / FLEET).exists() else SERVICES
        self._processes: list[Process] = []
        self._hub = HubProcess(layout, BUS_USER)

    async def start(self) -> None:
        """Returns when every service has said that it is ready. Raises TimeoutError naming those that haven't."""
        self._make_directories()
        for name, marker in (
            *((each, f"{self.layout.etc}/{each}.toml") for each in (*SERVICES, FLEET)),
            ("bus", str(self.layout.bus)),
            ("hub", str(self.layout.hub)),
        ):
            end_leftover(self.layout.run / "services" / f"{name}.pid", marker)
        bus = self._configure_bus()
        self._write_settings(bus)
        # One processor for Go: with two it spends more on waking threads than on one host's messages (measured: 10 ms
        # of CPU for each container started, 6 with one).
        self._run(
            Program(
                "bus",
                (str(bus.server), "-c", str(bus.path)),
                user=BUS_USER,
                group=BUS_USER,
                notifies=False,
                environment={"GOMAXPROCS": "1"},
            )
        )
        await asyncio.to_thread(wait_ready, bus, READY_SECONDS)
        for name in self._services:
            self._run(self._service(name))
        if FLEET in self._services:
            self._hub.start()
        await self._wait_ready()

    async def stop(self) -> None:
        """Everything but containers and their shims, the bus last."""
        await self._hub.stop()
        for process in reversed(self._processes):
            await process.stop()

    def _run(self, program: Program) -> None:
        process = Process(program, self.layout)
        self._processes.append(process)
        process.start()

    async def _wait_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while missing := [p for p in self._processes if not p.ready.is_set()]:
            late = asyncio.get_running_loop().time() > deadline
            if late or any(p.refused.is_set() for p in missing):
                why = f"not ready after {READY_SECONDS:g} s" if late else "it can't run, or refuses its settings"
                logs = ", ".join(str(self.layout.log(p.program.name)) for p in missing)
                raise TimeoutError(f"cannot start {', '.join(p.program.name for p in missing)}: {why}; see {logs}")
            await asyncio.sleep(0.01)

    def _make_directories(self) -> None:
        for directory in ("services", "notify", "netns", "shim"):
            (self.layout.run / directory).mkdir(parents=True, exist_ok=True)
        # The daemon gathers all metrics: sockets in this directory get its group (inode(7), the set-group-id bit).
        self.layout.metrics.mkdir(mode=0o750, exist_ok=True)
        os.chown(self.layout.metrics, 0, pwd.getpwnam(self._options.user).pw_gid)
        self.layout.metrics.chmod(0o2750)
        for directory in ("log", "bus", "supervisor", "network", "images", "containers", "volumes"):
            (self.layout.state / directory).mkdir(parents=True, exist_ok=True, mode=0o711)
        self.layout.etc.mkdir(parents=True, exist_ok=True)

    def _configure_bus(self) -> Configuration:
        daemon, bus = pwd.getpwnam(self._options.user), pwd.getpwnam(BUS_USER)
        store = self.layout.bus / "jetstream"
        store.mkdir(mode=0o700, exist_ok=True)
        os.chown(store, bus.pw_uid, bus.pw_gid)
        owners = {"daemon": daemon.pw_uid}
        settings = ServerSettings(
            self._options.node,
            store,
            port=self._options.bus_port,
            owners=owners,
            server=self._options.nats_server,
            fleet=self.layout.state / FLEET,
            server_user=bus.pw_uid,
        )
        return write_configuration(self.layout.bus, settings)

    def _service(self, name: str) -> Program:
        if name != "daemon":
            return Program(name, command(name, self.layout))
        group = _group("docker") or pwd.getpwnam(self._options.user).pw_gid
        listeners = tuple(listen(path, group=group) for path in (self.layout.socket, *self._options.more_sockets))
        metrics = listen(self.layout.metrics / "daemon.sock")
        user = self._options.user
        return Program(name, command(name, self.layout), user=user, group=user, sockets=listeners, metrics=metrics)

    def _write_settings(self, bus: Configuration) -> None:
        for name in self._services:
            (self.layout.etc / f"{name}.toml").write_text(
                toml({**self._common(bus, name), **self._own(bus, name), **self._options.extra.get(name, {})})
            )

    def _common(self, bus: Configuration, name: str) -> dict[str, Any]:
        return {
            "node": self._options.node,
            "bus_url": bus.url,
            "credentials": str(bus.credentials(_PRINCIPALS.get(name, name))),
            "run_dir": str(self.layout.run),
            "state_dir": str(self.layout.state),
        }

    def _own(self, bus: Configuration, name: str) -> dict[str, Any]:
        match name:
            case "network":
                return {"bridge": self.layout.bridge, "table": self.layout.table, "prefix": self.layout.link_prefix}
            case "supervisor":
                return {"cgroup_parent": self.layout.cgroup}
            case "daemon":
                return {"socket": str(self.layout.socket)}
            case "shim":
                return {"shim_key": str(bus.shim_key)}
            case "fleet":
                return {"engine_socket": str(self.layout.socket), "opt_dir": str(self.layout.opt)}
            case _:
                return {}


BUS_USER = "seaway-bus"
"""Whom nats-server runs as."""

FLEET = "fleet"
"""The service that a host needs to be in a fleet."""

_PRINCIPALS = {"shim": "nursery"}
"""A service's name on the bus, where it isn't the service's own: the shims have credentials of theirs."""


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def toml(table: Mapping[str, Any]) -> str:
    """Flat settings as TOML: strings, numbers, booleans and lists of these, which JSON writes alike."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


async def run_until_signal(stack: Stack, ready: Any) -> None:
    """Start, call `ready`, wait for SIGTERM or SIGINT, stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    starting = asyncio.create_task(stack.start())
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            ready()
            await waiting
    finally:
        starting.cancel()
        waiting.cancel()
        await stack.stop()
