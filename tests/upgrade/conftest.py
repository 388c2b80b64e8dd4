"""A host with a real systemd as its first process, and Seaway installed in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.systemd_host import SystemdHost, booted

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.root)


@pytest.fixture(scope="module", params=["hybrid", "unified"])
def host(request: pytest.FixtureRequest) -> Iterator[SystemdHost]:
    """The host, with the engine running, once for each form of control groups.

    Making its root takes two minutes the first time.
    """
    docker = shutil.which("docker")
    if not docker or not shutil.which("debootstrap"):
        pytest.skip("needs the docker CLI and debootstrap: apt-get install debootstrap docker.io")
    with booted(Path(os.environ.get("SEAWAY_OPT", "/opt/seaway")), Path(docker), request.param) as host:
        yield host
