"""A daemon, in a process of its own, on a real nats-server with the simulated hosts of a fleet."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.bus import NatsServer
from support.conditions import until
from support.simulated_hosts import simulated


@contextlib.contextmanager
def simulated_fleet(directory: Path, count: int, *, silent: tuple[str, ...] = ()) -> Iterator[Path]:
    """The socket of a daemon whose fleet has `count` hosts, for the time of a `with`."""
    server = NatsServer(directory, "h1")
    server.start()
    try:
        tester = server.credentials("tester")
        with simulated(server.url, tester, count, node="h1", silent=silent), _daemon(directory, server) as socket:
            yield socket
    finally:
        server.kill()


@contextlib.contextmanager
def _daemon(directory: Path, server: NatsServer) -> Iterator[Path]:
    socket, settings = directory / "engine.sock", directory / "daemon.toml"
    lines = {
        "node": server.node,
        "bus_url": server.url,
        "credentials": str(server.credentials("daemon")),
        "run_dir": str(directory / "run"),
        "state_dir": str(directory / "state"),
        "socket": str(socket),
    }
    settings.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))
    (directory / "run").mkdir()
    log = (directory / "daemon.log").open("wb")
    command = [sys.executable, "-m", "seaway_daemon", "--config", str(settings)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: socket.exists() or process.poll() is not None, 20)
            if process.poll() is not None:
                raise RuntimeError((directory / "daemon.log").read_text())
            yield socket
        finally:
            process.terminate()
            process.wait(20)
