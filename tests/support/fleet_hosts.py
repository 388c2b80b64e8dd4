"""Several hosts of `systemd_box`, each with Seaway and its fleet service, in one fleet.

What all of them have in common is installed once and kept, as a layer below each host's own:

    <cache>/layer-<digest>/    what an installation has written to a host's root
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import systemd_box
from support.conditions import until
from support.systemd_host import SystemdHost

_SOURCES = Path(__file__).resolve().parents[2]
_OWN = ("etc/hostname", "etc/machine-id", "etc/hosts", "etc/resolv.conf", "etc/seaway/node")
"""What is a host's own, and so in no layer."""

_PROGRAM = """#!/bin/sh
exec /opt/seaway/cli/current/bin/python -I /opt/seaway/cli/current/bin/seaway "$@"
"""


@dataclass(frozen=True)
class Hosts:
    """Hosts h1, h2, … at 10.77.0.11, 10.77.0.12, …; the first runs the hub where there is a fleet."""

    fleet: Any
    hosts: tuple[SystemdHost, ...]

    def __getitem__(self, number: int) -> SystemdHost:
        """The host of a number, from 1."""
        return self.hosts[number - 1]

    def __len__(self) -> int:
        return len(self.hosts)

    def address(self, number: int) -> str:
        """Where the others reach a host."""
        return str(self.fleet.state()["hosts"][f"h{number}"]["address"])

    def each(self, act: Callable[[SystemdHost], Any], hosts: Sequence[SystemdHost] | None = None) -> list[Any]:
        """Do the same on all hosts, two at a time."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(act, self.hosts if hosts is None else hosts))

    def found(self, name: str = "test") -> None:
        """Make one fleet of them."""
        self[1].run("seaway", "fleet", "init", name, "--address", self.address(1))
        for host in self.hosts[1:]:
            self.join(host)
        until(lambda: len(self.ready()) == len(self), 60)

    def join(self, host: SystemdHost, *options: str) -> None:
        """Have a host join the first one's fleet."""
        token = self[1].run("seaway", "fleet", "token", "--quiet", *options).strip()
        host.run("seaway", "fleet", "join", self.address(1), token)

    def ready(self) -> list[str]:
        """The names of the hosts that the first one sees and finds ready."""
        return [each["Node"] for each in self.seen() if each["State"] == "ready"]

    def seen(self) -> list[dict[str, Any]]:
        """The hosts as the first one's daemon sees them; none while it can't be asked."""
        shown = self[1].run("seaway", "fleet", "ls", "--format", "json", check=False)
        return [json.loads(line) for line in shown.splitlines() if line.startswith("{")]

    def crash(self, number: int) -> None:
        """Kill everything on a host at once, as a power cut does."""
        self.fleet.control("crash", f"h{number}")
        until(lambda: self.fleet.state()["hosts"][f"h{number}"]["pid"] is None, 20)

    def boot(self, number: int) -> None:
        """Start a host again, and wait for its engine."""
        self.fleet.control("boot", f"h{number}")
        assert self.fleet.wait(f"h{number}")[f"h{number}"]
        self[number].await_active()

    def unplug(self, number: int) -> None:
        """Cut a host off from the others."""
        self.fleet.control("unplug", f"h{number}")

    def plug(self, number: int) -> None:
        """And back."""
        self.fleet.control("plug", f"h{number}")


@contextlib.contextmanager
def from_packages(count: int, packages: Path, more: dict[str, Path], docker: Path) -> Iterator[Hosts]:
    """Hosts with every package in a directory installed by dpkg; directories of `more` packages stand at /<name>."""
    digest = _digest(sorted(packages.glob("*.deb")), extra="dpkg")
    binds = [(str(path), f"/{name}", True) for name, path in more.items()]

    def install(host: SystemdHost) -> None:
        host.shell("dpkg -i /packages/*.deb >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }")

    layer = _layer(digest, install, [(str(packages), "/packages", True), *_tools(docker)])
    with _booted(count, layer, [*binds, *_tools(docker)]) as hosts:
        yield hosts


@contextlib.contextmanager
def from_opt(count: int, opt: Path, docker: Path) -> Iterator[Hosts]:
    """Hosts that share what packaging/install made: quicker, but nothing of it can be upgraded."""
    binds = [(str(opt), "/opt/seaway", True), *_tools(docker)]

    def install(host: SystemdHost) -> None:
        host.run("/src/packaging/units")
        host.shell(f"printf '%s' '{_PROGRAM}' >/usr/local/bin/seaway && chmod 755 /usr/local/bin/seaway")

    units = [
        *(_SOURCES / "systemd").rglob("*"),
        *(_SOURCES / "packaging/settings").glob("*"),
        _SOURCES / "packaging/units",
    ]
    layer = _layer(_digest(units, extra=str(opt)), install, binds)
    with _booted(count, layer, binds) as hosts:
        yield hosts


@contextlib.contextmanager
def _booted(count: int, layer: Path, binds: list[tuple[str, str, bool]]) -> Iterator[Hosts]:
    with systemd_box.Fleet(count, binds=binds, layers=[layer], hierarchy="hybrid", memory="3G") as fleet:
        hosts = Hosts(fleet, tuple(SystemdHost(fleet, limits=True, name=f"h{n}") for n in range(1, count + 1)))
        for host in hosts.hosts:
            host.shell("mkdir -p /etc/seaway && hostname >/etc/seaway/node")
            host.shell(
                "systemctl enable -q seaway.target seaway-daemon.socket; systemctl start --no-block seaway.target"
            )
        for host in hosts.hosts:
            host.await_active()
        yield hosts


def _tools(docker: Path) -> list[tuple[str, str, bool]]:
    return [(str(_SOURCES), "/src", True), (str(docker), "/usr/bin/docker", True)]


def _digest(files: Sequence[Path], extra: str) -> str:
    """Of what an installation is made from."""
    digest = hashlib.sha256(extra.encode())
    for path in sorted(files):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _layer(digest: str, install: Callable[[SystemdHost], Any], binds: list[tuple[str, str, bool]]) -> Path:
    """What an installation writes to the root of a host that is new. Made once; the one before is forgotten."""
    kept = Path(systemd_box.CACHE, f"layer-{digest}")
    if kept.exists():
        return kept
    with systemd_box.Fleet(1, binds=binds, hierarchy="hybrid", keep=True) as fleet:
        host = SystemdHost(fleet, limits=True)
        install(host)
        host.shell("systemctl disable -q seaway.target seaway-daemon.socket; systemctl stop 'seaway*' || true; sync")
        upper = Path(fleet.place, "h1", "upper")
    try:
        for name in _OWN:
            (upper / name).unlink(missing_ok=True)
        for each in (upper / "usr/local/lib/seaway", upper / "var/log/journal"):
            shutil.rmtree(each, ignore_errors=True)
        for before in sorted(kept.parent.glob("layer-*"), key=lambda path: path.stat().st_mtime)[:-3]:
            shutil.rmtree(before, ignore_errors=True)
        upper.rename(kept)
    finally:
        shutil.rmtree(fleet.place, ignore_errors=True)
    return kept
