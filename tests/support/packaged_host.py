"""A host with Seaway's packages, of the version before and of this one, and what is done with them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import systemd_host
from support.systemd_host import SystemdHost, bare

OLD, NEW = "0.1.0", "0.1.1"
_PLACE = Path(os.environ.get("SEAWAY_PACKAGES", "/nonexistent"))
SERVICES = tuple(each for each in systemd_host.SERVICES if [*_PLACE.glob(f"old/seaway-{each}_*.deb")])
"""Those that the old version has, too. What is new in the new one is installed by nobody here."""
ORDERS = [SERVICES, tuple(reversed(SERVICES))]


@contextlib.contextmanager
def packaged() -> Iterator[SystemdHost]:
    """The host with the old packages installed, in an order of chance, and both versions at /old and /new.

    `make upgrade-test` builds them below SEAWAY_PACKAGES.
    """
    docker = shutil.which("docker")
    if not SERVICES or not docker:
        pytest.skip("needs the docker CLI, and packages in SEAWAY_PACKAGES/{old,new}: make upgrade-test")
    with bare(Path(docker), {each: _PLACE / each for each in ("old", "new")}, SERVICES) as host:
        seed = random.randrange(1 << 16)
        print(f"order of installation: seed {seed}")
        names = sorted(_PLACE.glob("old/*.deb"))
        random.Random(seed).shuffle(names)
        before = files(host)
        host.run("dpkg", "-i", *(f"/old/{name.name}" for name in names))
        host.await_active()
        host.make_image()
        yield host
        host.run("docker", "rm", "-f", *host.run("docker", "ps", "-aq").split(), check=False)
        # The new version's scripts know what the new version has made; the old one's can't.
        host.shell("dpkg -i " + " ".join(f"/new/seaway-{each}_{NEW}_*.deb" for each in (*SERVICES, "cli")))
        host.shell("dpkg --purge $(dpkg-query -W -f '${Package} ' 'seaway*')")
        left = files(host) ^ before
        assert not left, f"a purge leaves, or takes along: {sorted(left)}"


def files(host: SystemdHost) -> set[str]:
    """Every file of ours on the host, and of the places where units put theirs."""
    ours = "find / -xdev -path /proc -prune -o -path /sys -prune -o -name '*seaway*' -print"
    shown = host.shell(f"({ours}; ls -d /run/seaway* /var/lib/seaway/*) 2>/dev/null || true").split()
    return {each for each in shown if not each.startswith(("/src", "/var/log", "/tmp"))} | {
        line for line in host.run("getent", "passwd").splitlines() if line.startswith("seaway")
    }


def current(host: SystemdHost, service: str) -> str:
    """The version that is started next."""
    return host.run("readlink", f"/opt/seaway/{service}/current").strip()


def all_current(host: SystemdHost) -> dict[str, str]:
    """The version of each service that is started next."""
    return {each: current(host, each) for each in SERVICES}


def install(host: SystemdHost, service: str, version: str) -> None:
    """Install a service's package, as apt does."""
    place = "old" if version == OLD else "new"
    host.shell(f"dpkg -i --force-downgrade /{place}/seaway-{service}_{version}_*.deb")


def doctor(host: SystemdHost) -> list[dict[str, str]]:
    """What `seaway doctor` finds."""
    found: list[dict[str, str]] = json.loads(host.run("seaway", "doctor", "--json", check=False))
    return found


def spoil(host: SystemdHost, service: str, how: str) -> str:
    """The new package with a change to its modules, uncompiled; its path."""
    return host.shell(
        f"""
        rm -rf /tmp/spoiled
        dpkg-deb -R /new/seaway-{service}_{NEW}_*.deb /tmp/spoiled
        cd /tmp/spoiled/opt/seaway/{service}/.package/lib/python3.11/site-packages
        {how}
        rm -rf seaway_{service}/__pycache__
        dpkg-deb -b /tmp/spoiled /tmp/spoiled.deb >/dev/null
        echo /tmp/spoiled.deb
        """
    ).strip()
