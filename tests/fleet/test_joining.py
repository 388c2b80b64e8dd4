"""Hosts with a real systemd come into a fleet, are hurt, and go; what runs on them doesn't notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.conditions import until
from support.fleet_hosts import Hosts
from support.systemd_host import SystemdHost


@pytest.fixture(scope="module")
def fleet(fresh: Hosts) -> Hosts:
    """Three hosts in one fleet, with a container each, that was there before."""
    for host in fresh.hosts:
        host.make_image()
        host.run("docker", "run", "-d", "--name", "witness", "busybox", "sleep", "1d")
    before = pids(fresh)
    fresh.found("home")
    assert pids(fresh) == before, "joining cost a container something"
    return fresh


def pids(hosts: Hosts) -> list[int]:
    return [host.pid("witness") for host in hosts.hosts]


def status(host: SystemdHost) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run("seaway", "fleet", "status", "--json"))
    return found


def connected(host: SystemdHost) -> bool:
    return bool(status(host)["Connected"])


def all_ready(fleet: Hosts) -> None:
    until(lambda: fleet.ready() == ["h1", "h2", "h3"], 90)


def test_the_hub_runs_where_it_was_made_alone(fleet: Hosts) -> None:
    states = [host.property("seaway-hub.service", "ActiveState") for host in fleet.hosts]
    assert states == ["active", "inactive", "inactive"]
    assert [status(host)["Hub"] for host in fleet.hosts] == [True, False, False]
    assert status(fleet[2])["Leader"] == "h1"
    hub = fleet[1].main_pid("hub")
    assert fleet[1].run("stat", "-c", "%U", f"/proc/{hub}").strip() == "seaway-bus"


@pytest.mark.parametrize("service", ["fleet", "hub", "bus"])
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_restart_costs_no_container_and_no_membership(fleet: Hosts, service: str, how: str) -> None:
    before = pids(fleet)
    for host in fleet.hosts if service != "hub" else (fleet[1],):
        old = host.main_pid(service)
        if how == "restart":
            host.run("systemctl", "restart", f"seaway-{service}")
        else:
            host.run("busybox", "kill", "-KILL", str(old))
        until(lambda host=host, old=old: host.main_pid(service) not in (0, old), 30)  # type: ignore[misc]
    all_ready(fleet)
    assert pids(fleet) == before


def test_a_rebooted_host_comes_back(fleet: Hosts) -> None:
    fleet[2].reboot()
    all_ready(fleet)
    fleet[2].run("docker", "start", "witness")
    fleet[1].reboot()
    fleet[1].run("docker", "start", "witness")
    all_ready(fleet)


def test_a_host_without_its_hub_works_alone_and_catches_up(fleet: Hosts) -> None:
    before = fleet[2].pid("witness")
    fleet.crash(1)
    until(lambda: not connected(fleet[2]), 60)
    assert fleet[2].run("docker", "run", "--rm", "busybox", "busybox", "echo", "alone").strip() == "alone"
    fleet.boot(1)
    fleet[1].run("docker", "start", "witness")
    all_ready(fleet)
    assert fleet[2].pid("witness") == before


def test_an_unplugged_host_is_missed_and_found_again(fleet: Hosts) -> None:
    before = fleet[3].pid("witness")
    fleet.unplug(3)
    until(lambda: fleet.ready() == ["h1", "h2"], 60)
    until(lambda: {"Node": "h3", "State": "lost"}.items() <= fleet.seen()[2].items(), 90)
    assert fleet[3].run("docker", "run", "--rm", "busybox", "busybox", "echo", "alone").strip() == "alone"
    fleet.plug(3)
    all_ready(fleet)
    assert fleet[3].pid("witness") == before


def test_a_host_that_is_shut_out_stays_out_and_goes_on(fleet: Hosts) -> None:
    before = pids(fleet)
    fleet[1].run("seaway", "fleet", "evict", "h3")
    until(lambda: not connected(fleet[3]), 30)
    fleet[3].run("systemctl", "restart", "seaway-bus", "seaway-fleet")
    fleet[3].await_active()
    assert not connected(fleet[3]) and fleet.ready() == ["h1", "h2"]
    assert "--force" in fleet[3].run("seaway", "fleet", "leave", check=False)
    fleet[3].run("seaway", "fleet", "leave", "--force")
    fleet.join(fleet[3])
    all_ready(fleet)
    assert pids(fleet) == before


def test_leaving_costs_nothing_and_leaves_nothing(fleet: Hosts) -> None:
    before = pids(fleet)
    for number in (3, 2, 1):
        fleet[number].run("seaway", "fleet", "leave")
        assert status(fleet[number])["Fleet"] == ""
        fleet[number].shell("test ! -e /var/lib/seaway/fleet/standing.json && test ! -e /var/lib/seaway/hub")
    until(lambda: fleet[1].property("seaway-hub.service", "ActiveState") == "inactive", 30)
    assert pids(fleet) == before


def test_a_host_takes_another_name_while_it_has_no_container(fleet: Hosts) -> None:
    fleet.found("again")
    fleet[3].run("seaway", "fleet", "leave")
    token = fleet[1].run("seaway", "fleet", "token", "--quiet").strip()
    assert "has 1 containers" in fleet[3].run("seaway", "fleet", "join", "--node", "other", token, check=False)
    fleet[3].run("docker", "rm", "-f", "witness")
    fleet[3].run("seaway", "fleet", "join", "--node", "other", token)
    until(lambda: fleet.ready() == ["h1", "h2", "other"], 90)
