"""Ten hosts with a hundred containers, every service of each upgraded in waves while people visit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.conditions import until
from support.fleet_hosts import Hosts, from_packages
from support.systemd_host import SystemdHost

from fleet.conftest import docker

HOSTS, EACH = 10, 10

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def ten() -> Iterator[Hosts]:
    """The hosts, in one fleet, with their containers at work."""
    place = os.environ.get("SEAWAY_FLEET_PACKAGES")
    if not place:
        pytest.skip("needs packages of two versions in SEAWAY_FLEET_PACKAGES/{now,next}: make fleet-test")
    with from_packages(HOSTS, Path(place, "now"), {"next": Path(place, "next")}, docker()) as hosts:
        hosts.found("ten")
        hosts.each(furnish)
        yield hosts


def furnish(host: SystemdHost) -> None:
    host.make_image()
    run = "docker run -d --name web{0} -p {1}:80 busybox httpd -f -p 80 -h /www >/dev/null"
    host.shell("\n".join(run.format(number, 8080 + number) for number in range(EACH)))


def processes(hosts: Hosts) -> list[str]:
    """The first process of every container, host by host."""
    names = [f"web{number}" for number in range(EACH)]
    return hosts.each(lambda host: host.run("docker", "inspect", "-f", "{{.Name}} {{.State.Pid}}", *names))


def test_an_upgrade_of_all_services_restarts_no_container_and_fails_no_request(ten: Hosts) -> None:
    before = processes(ten)
    visitors = [host.probe(f"http://127.0.0.1:{8080 + n % EACH}/", 0.05) for n, host in enumerate(ten.hosts)]
    began = time.monotonic()
    said = ten[1].run(
        *("seaway", "fleet", "upgrade", "--from", "/next", "--canary", "1", "--batch", "50%"),
        *("--max-unavailable", "2"),
    )
    took = time.monotonic() - began
    answered, failed = 0, []
    for visitor in visitors:
        visitor.send_signal(signal.SIGTERM)
        done, wrong = json.loads(visitor.communicate(timeout=60)[0].strip().splitlines()[-1])
        answered, failed = answered + done, failed + wrong
    print(f"\nten hosts, a hundred containers, all services: {took:.0f} s; {answered} requests, {len(failed)} failed")
    assert failed == [], said
    assert processes(ten) == before
    until(lambda: {each["Versions"]["supervisor"] for each in ten.seen()} == {"0.1.2"}, 60)
