"""Several hosts with a real systemd each, in one fleet. `make fleet-test` builds what they run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet_hosts import Hosts, from_opt, from_packages

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.root)


def docker() -> Path:
    """The docker CLI that the hosts use."""
    found = shutil.which("docker")
    if not found or not shutil.which("debootstrap"):
        pytest.skip("needs the docker CLI and debootstrap: apt-get install debootstrap docker.io")
    return Path(found)


@pytest.fixture(scope="module")
def fresh() -> Iterator[Hosts]:
    """Three hosts in no fleet, sharing what packaging/install made."""
    with from_opt(3, Path(os.environ.get("SEAWAY_OPT", "/opt/seaway")), docker()) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def fleet() -> Iterator[Hosts]:
    """Three hosts in one fleet, sharing what packaging/install made."""
    with from_opt(3, Path(os.environ.get("SEAWAY_OPT", "/opt/seaway")), docker()) as hosts:
        hosts.found()
        yield hosts


@pytest.fixture(scope="module")
def installed() -> Iterator[Hosts]:
    """Three hosts in one fleet with packages that can be upgraded to those at /next."""
    place = os.environ.get("SEAWAY_FLEET_PACKAGES")
    if not place:
        pytest.skip("needs packages of two versions in SEAWAY_FLEET_PACKAGES/{now,next}: make fleet-test")
    with from_packages(3, Path(place, "now"), {"next": Path(place, "next")}, docker()) as hosts:
        hosts.found()
        for host in hosts.hosts:
            host.make_image()
        yield hosts
