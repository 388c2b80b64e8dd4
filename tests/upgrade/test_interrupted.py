"""Upgrades that something happens to: whatever it is, a second run finishes them, and a rollback undoes them."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from support.conditions import until
from support.packaged_host import NEW, OLD, SERVICES, all_current, packaged
from support.systemd_host import SystemdHost
from support.witness import witnessing

pytestmark = pytest.mark.timeout(900)
UPGRADE = "seaway upgrade --from /new --json"


@pytest.fixture(scope="module")
def installed() -> Iterator[SystemdHost]:
    with packaged() as host:
        # New here and nothing else: what the command line was before is no version that a rollback could find.
        host.shell(f"dpkg -i /new/seaway-cli_*.deb && rm -rf /opt/seaway/cli/{OLD}")
        yield host


@pytest.fixture
def host(installed: SystemdHost) -> Iterator[SystemdHost]:
    """The host with everything old, and a command line that is new."""
    yield installed
    until(lambda: last(installed.run("seaway", "rollback", "--json", check=False))["result"] != "refused", 60)
    for service in SERVICES:
        installed.shell(
            f"dpkg -i --force-downgrade /old/seaway-{service}_{OLD}_*.deb; rm -f /opt/seaway/{service}/.step"
        )
    installed.await_active()


class Running:
    """A program on the host whose process id is known there."""

    def __init__(self, host: SystemdHost, command: str) -> None:
        self.host = host
        environment = ["env", "DOCKER_HOST=unix:///run/seaway/engine.sock"]
        argv = host.fleet.argv(host.name, [*environment, "sh", "-c", f"echo $$; exec {command}"])
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = int(self.line())

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def signal(self, name: str) -> None:
        """Send it a signal."""
        self.host.run("busybox", "kill", f"-{name}", str(self.pid), check=False)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it still said."""
        said, _ = self.process.communicate(timeout=300)
        return self.process.returncode, said


def last(said: str) -> dict[str, Any]:
    """The last line of what a run said: how it ended."""
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def finished(host: SystemdHost) -> None:
    """A second run, once the first one's dpkg is through, makes everything new."""
    until(lambda: last(host.run(*UPGRADE.split(), check=False))["result"] != "refused", 120)
    assert last(host.run(*UPGRADE.split()))["result"] == "done"
    assert all_current(host) == dict.fromkeys(SERVICES, NEW)
    shown = {each["name"]: each["version"] for each in json.loads(host.run("seaway", "status", "--json"))}
    assert {name: version for name, version in shown.items() if name != "bus"} == {
        each: NEW for each in SERVICES if each != "bus"
    }
    assert host.run("dpkg", "--audit") == ""


def test_each_step_is_told_on_a_line_and_the_end_on_the_last(host: SystemdHost) -> None:
    planned = [json.loads(line) for line in host.run(*UPGRADE.split(), "--dry-run").splitlines()]
    assert [(each["service"], each["state"]) for each in planned[:-1]] == [
        (each, "planned") for each in ("bus", "network", "runtime", "shim", "supervisor", "daemon")
    ]
    told = [json.loads(line) for line in host.run(*UPGRADE.split()).splitlines()]
    assert [{**each, "says": ""} for each in told[:-1]] == [
        {**each, "state": "done", "says": ""} for each in planned[:-1]
    ]
    assert {**told[-1], "says": ""} == {
        "result": "done",
        "says": "",
        "versions": {**dict.fromkeys(SERVICES, NEW), "cli": NEW},
    }
    undone = [json.loads(line) for line in host.run("seaway", "rollback", "--json").splitlines()]
    assert [(each["service"], each["after"]) for each in undone[:-1]] == [
        (each, OLD) for each in ("daemon", "supervisor", "shim", "runtime", "network", "bus")
    ]
    assert all_current(host) == dict.fromkeys(SERVICES, OLD)
    assert len(host.run("seaway", "rollback", "--json").splitlines()) == 1, "what is undone is undone once"
    assert all_current(host) == dict.fromkeys(SERVICES, OLD)


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_signal_lets_the_step_be_finished_and_a_second_run_the_rest(host: SystemdHost, signal: str) -> None:
    with witnessing(host) as witness:
        running = Running(host, UPGRADE)
        first = json.loads(running.line())
        assert (first["service"], first["state"]) == ("bus", "done")
        running.signal(signal)
        code, said = running.end()
        assert (code, last(said)["result"]) == (130, "interrupted"), said
        assert set(all_current(host).values()) == {OLD, NEW}
        finished(host)
        witness.unharmed()


@pytest.mark.parametrize("then", ["a second run", "a rollback"])
def test_a_killed_upgrade_is_finished_or_undone(host: SystemdHost, then: str) -> None:
    """At moments of chance: while dpkg unpacks, between flip and restart, in the middle of a proof."""
    with witnessing(host) as witness:
        for _ in range(3):
            running = Running(host, UPGRADE)
            delay = random.uniform(0.2, 12)
            print(f"killed after {delay:.2f} s")
            try:
                running.process.wait(delay)
            except subprocess.TimeoutExpired:
                running.signal("KILL")
            running.end()
            if then == "a rollback":
                until(lambda: last(host.run("seaway", "rollback", "--json", check=False))["result"] == "done", 120)
                assert all_current(host) == dict.fromkeys(SERVICES, OLD)
            assert host.run("docker", "run", "--rm", "busybox", "sh", "-c", "echo here") == "here\n"
        finished(host)
        witness.unharmed()


def test_a_host_that_loses_its_power_goes_on_where_it_was(host: SystemdHost) -> None:
    running = Running(host, UPGRADE)
    running.line()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(random.uniform(0.2, 5))
    host.lose_power()
    running.process.kill()
    running.end()
    finished(host)
    assert host.run("docker", "run", "--rm", "busybox", "sh", "-c", "echo here") == "here\n"


def test_of_two_upgrades_at_once_one_is_refused(host: SystemdHost) -> None:
    running = Running(host, UPGRADE)
    running.line()
    said = host.run("seaway", "upgrade", "--from", "/new", "--json", check=False)
    assert last(said)["result"] == "refused" and "another upgrade is under way" in last(said)["says"]
    code, said = running.end()
    assert (code, last(said)["result"]) == (0, "done"), said


def test_an_older_version_is_refused_unless_it_is_asked_for(host: SystemdHost) -> None:
    host.run(*UPGRADE.split())
    main = {each: host.main_pid(each) for each in SERVICES}
    said = last(host.run("seaway", "upgrade", "--from", "/old", "--json", check=False))
    assert said["result"] == "refused" and "is newer; go back with: seaway rollback" in said["says"]
    assert {each: host.main_pid(each) for each in SERVICES} == main
    host.run("seaway", "upgrade", "--from", "/old", "--downgrade", "runtime")
    assert all_current(host) == {**dict.fromkeys(SERVICES, NEW), "runtime": OLD}


@pytest.fixture
def small_disk(host: SystemdHost) -> Iterator[SystemdHost]:
    """The host with /opt/seaway on a file system of its own, which has three MiB free."""
    host.shell(
        """
        mkdir -p /tmp/opt; mount -t tmpfs -o mode=755 tmpfs /tmp/opt; cp -a /opt/seaway/. /tmp/opt
        mount --bind /tmp/opt /opt/seaway
        mount -o remount,size=$(( $(df --output=used -k /opt/seaway | tail -1) + 3072 ))k /opt/seaway
        """
    )
    yield host
    # What runs from there keeps it until it is restarted.
    host.shell(
        "umount -l /opt/seaway; rm -rf /opt/seaway; cp -a /tmp/opt /opt/seaway; umount -l /tmp/opt; rmdir /tmp/opt"
    )


def test_a_full_disk_is_refused_before_anything_and_costs_nothing_in_the_middle(small_disk: SystemdHost) -> None:
    host = small_disk
    before = host.main_pid("network")
    said = last(host.run("seaway", "upgrade", "--from", "/new", "--json", "network", check=False))
    assert said["result"] == "refused" and "make room first" in said["says"]
    with witnessing(host) as witness:
        assert "No space left" in host.run("sh", "-c", "dpkg -i /new/seaway-network_*.deb", check=False)
        assert host.main_pid("network") == before
        assert host.run("docker", "run", "--rm", "busybox", "sh", "-c", "echo here") == "here\n"
        host.shell("mount -o remount,size=1g /opt/seaway")
        assert last(host.run("seaway", "upgrade", "--from", "/new", "--json", "network"))["result"] == "done"
        assert host.run("dpkg", "--audit") == ""
        witness.unharmed()
