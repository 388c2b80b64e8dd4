"""A real nats-server with generated credentials for a test, that can be killed, restarted and frozen under it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from seaway_bus import Bus, Pace, Patience, connect
from seaway_bus.credentials import Key, credentials, mint_shim, user_token
from seaway_bus.memory import HUB_DOMAIN
from seaway_bus.permissions import inbox
from seaway_bus.server import Configuration, ServerSettings, run_server, write_configuration

from support.conditions import until

NODE = "n1"

QUICK = Patience(probe_every=0.5, probe=0.5, retry_most=0.2)
"""A connection whose watchdog needs about a second and a half instead of ten."""


async def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `check` is true, giving the event loop its turns; TimeoutError where it never is."""
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


class NatsServer:
    """A server of the test's own, below one directory, on a free port that it keeps over restarts.

    Its JetStream domain is a fleet's hub's, so that what a fleet remembers can be kept here, too.
    """

    def __init__(self, directory: Path, node: str = NODE, domain: str = HUB_DOMAIN, **settings: Any) -> None:
        self.node = node
        self.directory = directory
        self.configuration: Configuration = write_configuration(
            directory / "bus",
            ServerSettings(node=node, store=directory / "jetstream", port=0, domain=domain, **settings),
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.configuration.url

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended, and nobody has said that it may."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> str:
        return (self.directory / "nats-server.log").read_text()

    def start(self) -> None:
        self._process = run_server(self.configuration, log=self.directory / "nats-server.log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL as in a crash."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        process.wait(20)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Crash and come back."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing answers. Returns once every thread stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        threads = list(Path(f"/proc/{self.pid}/task").iterdir())
        until(lambda: all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads))

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def credentials(self, principal: str) -> Path:
        """The credential of a principal; `tester` may do everything, `shim-<id>` is minted as the nursery does."""
        path = self.configuration.credentials(principal)
        if path.exists():
            return path
        if principal == "tester":
            account = Key.of((self.configuration.directory / "keys" / "host.nk").read_text().strip())
            user = Key.generate("user")
            path.write_text(credentials(user_token(account, user, principal, None), user))
        elif principal.startswith("shim-"):
            seed = self.configuration.shim_key.read_text()
            path.write_text(mint_shim(seed, self.node, principal.removeprefix("shim-")))
        else:
            raise ValueError(f"no principal {principal}")
        return path


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server, configured as in production, for this test alone."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


BusFor = Callable[..., Coroutine[Any, Any, Bus]]


@pytest.fixture
async def bus_for(nats_server: NatsServer) -> AsyncIterator[BusFor]:
    """`await bus_for("supervisor")`: that principal's bus. Fails the test where the server refused it something.

    `strict=False` allows refusals, `url` is another way to the same server; the rest goes to `connect`.
    """
    buses: list[tuple[Bus, bool]] = []

    async def open_bus(principal: str = "tester", *, strict: bool = True, **options: Any) -> Bus:
        options.setdefault("patience", QUICK)
        options.setdefault("pace", Pace())
        bus = await connect(
            options.pop("url", nats_server.url),
            credentials=nats_server.credentials(principal),
            name=principal,
            node=nats_server.node,
            inbox=inbox(principal.removeprefix("shim-")),
            **options,
        )
        buses.append((bus, strict))
        return bus

    yield open_bus
    for bus, _ in buses:
        with contextlib.suppress(Exception):
            await bus.close()
    refused = [violation for bus, strict in buses if strict for violation in bus.violations]
    assert not refused, f"the bus refused: {refused}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Using the server marks a test."""
    for item in items:
        if "nats_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.bus)
