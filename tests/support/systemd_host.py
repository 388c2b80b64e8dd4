"""One host of `systemd_box` with Seaway's units in place and the engine running."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import systemd_box
from support.conditions import until

SERVICES = ("bus", "network", "runtime", "shim", "supervisor", "fleet", "daemon")
"""Those with a main process of the engine's own, by their units' names."""

_SOURCES = Path(__file__).resolve().parents[2]

_IMAGE = """
mkdir -p /tmp/image/bin /tmp/image/www
cp /bin/busybox /tmp/image/bin/
for name in sh httpd sleep usleep cat; do ln -sf busybox /tmp/image/bin/$name; done
echo hello >/tmp/image/www/index.html
tar -C /tmp/image -c . | docker import - busybox
"""

_PROBE = """
import json, signal, sys, time, urllib.request
done, failed = 0, []
stopping = False
def stop(*_):
    global stopping
    stopping = True
signal.signal(signal.SIGTERM, stop)
print("begun", flush=True)
while not stopping:
    try:
        assert urllib.request.urlopen(sys.argv[1], timeout=2).read() == b"hello\\n"
        done += 1
    except Exception as error:
        failed.append(repr(error))
    time.sleep(float(sys.argv[2]))
print(json.dumps([done, failed]), flush=True)
"""


@dataclass(frozen=True)
class SystemdHost:
    """What a test does on the host. `limits` is whether its control groups have controllers, `services` what runs."""

    fleet: Any
    limits: bool
    services: tuple[str, ...] = SERVICES
    name: str = "h1"

    def run(self, *argv: str, check: bool = True) -> str:
        """What a command prints, both streams. Raises AssertionError with it where the command fails."""
        done = self.fleet.run(
            self.name,
            ["env", "DOCKER_HOST=unix:///run/seaway/engine.sock", *argv],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert not check or done.returncode == 0, f"{argv} ended with {done.returncode}: {done.stdout}"
        return str(done.stdout)

    def shell(self, script: str, check: bool = True) -> str:
        """The same for lines of shell."""
        return self.run("sh", "-euc", script, check=check)

    def property(self, unit: str, name: str) -> str:
        """A unit's property, as systemctl(1) shows it."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def main_pid(self, service: str) -> int:
        """The process id of a service's main process; 0 where there is none."""
        return int(self.property(f"seaway-{service}", "MainPID"))

    def pid(self, container: str) -> int:
        """The process id of a container's first process."""
        return int(self.run("docker", "inspect", "--format", "{{.State.Pid}}", container))

    def reboot(self) -> None:
        """Restart the whole host and wait for its services."""
        old = self.fleet.state()["hosts"][self.name]["pid"]
        self.fleet.control("reboot", self.name)
        until(lambda: self.fleet.state()["hosts"][self.name]["pid"] not in (None, old), 60)
        assert self.fleet.wait(self.name)[self.name]
        self.await_active()

    def lose_power(self) -> None:
        """End every process of the host at once, and boot it again; services may still be starting afterwards."""
        old = self.fleet.state()["hosts"][self.name]["pid"]
        self.fleet.control("crash", self.name)
        until(lambda: self.fleet.state()["hosts"][self.name]["pid"] != old, 60)
        self.fleet.control("boot", self.name)
        until(lambda: self.fleet.state()["hosts"][self.name]["pid"] not in (None, old), 60)
        assert self.fleet.wait(self.name)[self.name]

    def await_active(self) -> None:
        """Wait until every service is ready and its process there. Raises AssertionError with how they are."""
        units = [f"seaway-{each}.service" for each in self.services]
        active = ["active"] * len(units)
        try:
            until(lambda: self.run("systemctl", "is-active", *units, check=False).split() == active, 120)
            until(lambda: "Server" in self.run("docker", "version", check=False), 120)
        except TimeoutError as error:
            shown = self.shell(
                "systemctl status --no-pager 'seaway*'; docker version 2>&1; journalctl -n 60", check=False
            )
            raise AssertionError(f"the engine doesn't get ready: {shown}") from error

    def make_image(self) -> None:
        """The image busybox, with a page to serve."""
        self.shell(_IMAGE)

    def probe(self, url: str, pause: float = 0.005) -> subprocess.Popen[str]:
        """Requests with a pause, in seconds, until SIGTERM; then it prints how many were answered, and each failure."""
        process = subprocess.Popen(
            self.fleet.argv(self.name, ["python3", "-c", _PROBE, url, str(pause)]), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process


@contextlib.contextmanager
def booted(opt: Path, docker: Path, hierarchy: str) -> Iterator[SystemdHost]:
    """A host for the time of a `with`: `opt` is what packaging/install made, `docker` the CLI.

    `hierarchy` is `hybrid`, control groups of both versions as this machine has them, or `unified`: version 2 alone,
    then without controllers, which version 1 has.
    """
    binds = [(str(opt), "/opt/seaway", True), *_binds(docker)]
    with systemd_box.Fleet(1, binds=binds, hierarchy=hierarchy) as fleet:
        host = SystemdHost(fleet, limits=hierarchy == "hybrid")
        host.run("/src/packaging/units")
        host.run("systemctl", "start", "seaway.target")
        host.await_active()
        host.make_image()
        yield host


@contextlib.contextmanager
def bare(
    docker: Path, packages: dict[str, Path], services: tuple[str, ...] = SERVICES, hierarchy: str = "hybrid"
) -> Iterator[SystemdHost]:
    """A host without Seaway, and directories of packages at /<name>; `services` are those that will be installed."""
    binds = [(str(path), f"/{name}", True) for name, path in packages.items()]
    with systemd_box.Fleet(1, binds=[*binds, *_binds(docker)], hierarchy=hierarchy) as fleet:
        yield SystemdHost(fleet, limits=hierarchy == "hybrid", services=services)


def _binds(docker: Path) -> list[tuple[str, str, bool]]:
    return [(str(_SOURCES), "/src", True), (str(docker), "/usr/bin/docker", True)]
