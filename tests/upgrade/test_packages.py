"""The Debian packages under a real systemd: installed in any order, upgraded one by one, taken back, purged.

`make upgrade-test` builds them, of two versions, below SEAWAY_PACKAGES.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from support.conditions import until
from support.packaged_host import NEW, OLD, ORDERS, SERVICES, all_current, current, doctor, install, packaged, spoil
from support.scene import at_work
from support.skew import Skew, flips
from support.systemd_host import SystemdHost
from support.witness import witnessing


@pytest.fixture(scope="module")
def host() -> Iterator[SystemdHost]:
    """A host with the old packages, and both versions at /old and /new."""
    with packaged() as host:
        yield host


def test_a_container_runs_with_what_was_installed(host: SystemdHost) -> None:
    assert host.run("docker", "run", "--rm", "busybox", "sh", "-c", "echo here") == "here\n"
    assert all_current(host) == dict.fromkeys(SERVICES, OLD)


def test_status_and_doctor_say_how_the_engine_is(host: SystemdHost) -> None:
    for service in SERVICES:
        install(host, service, NEW)
    host.await_active()
    host.shell("dpkg -i /new/seaway-cli_*.deb")
    shown = {each["name"]: each for each in json.loads(host.run("seaway", "status", "--json"))}
    assert set(shown) == set(SERVICES)
    assert {each["state"] for each in shown.values()} == {"active (running)"}
    assert {name: each["pid"] for name, each in shown.items()} == {name: host.main_pid(name) for name in SERVICES}
    assert {each["version"] for name, each in shown.items() if name != "bus"} == {NEW}
    assert [each for each in doctor(host) if each["level"] == "wrong"] == []
    host.run("systemctl", "stop", "seaway-runtime")
    wrong = [each["says"] for each in doctor(host) if each["level"] == "wrong"]
    assert wrong == ["seaway-runtime is inactive (dead)", "not on the bus: runtime"]
    host.run("systemctl", "start", "seaway-runtime")
    for service in SERVICES:
        install(host, service, OLD)
    host.await_active()


def test_seaway_upgrade_proves_each_step_and_rollback_goes_back(host: SystemdHost) -> None:
    host.shell("dpkg -i /new/seaway-cli_*.deb")
    with witnessing(host) as witness:
        said = host.run("seaway", "upgrade", "--from", "/new")
        assert all_current(host) == dict.fromkeys(SERVICES, NEW), said
        assert host.run("seaway", "upgrade", "--from", "/new").startswith("nothing to do: every service")
        host.run("seaway", "rollback", *SERVICES)
        assert all_current(host) == dict.fromkeys(SERVICES, OLD)
        witness.unharmed()
        done, failed = witness.answered()
        assert done and not failed


def test_seaway_upgrade_takes_back_what_runs_no_container(host: SystemdHost) -> None:
    """It can be imported and gets ready; only the container that is to prove it can't be run."""
    how = "sed -i 's/async def start(host/async def start_not(host/' seaway_supervisor/starting.py"
    host.shell(f"mkdir -p /tmp/from && mv {spoil(host, 'supervisor', how)} /tmp/from/seaway-supervisor_{NEW}_amd64.deb")
    said = host.run("seaway", "upgrade", "--from", "/tmp/from", check=False)
    assert f"it is {OLD} again, and well" in said
    assert current(host, "supervisor") == OLD
    assert host.run("docker", "run", "--rm", "busybox", "sh", "-c", "echo here") == "here\n"


@pytest.mark.timeout(1800)
def test_every_two_services_of_neighbouring_versions_work_together(host: SystemdHost) -> None:
    """Each package becomes the new version and the old one again, by single steps, so that every pair of versions of
    every two services is met. In each state everything works, for containers of every age, and what lies on the disk,
    written by either version, is read by the other."""
    host.shell("dpkg -i /new/seaway-cli_*.deb")
    skew = Skew(host)
    with witnessing(host) as witness:
        try:
            skew.settle()
            skew.check("everything old")
            for service, new in flips(SERVICES):
                version = NEW if new else OLD
                others = {each: host.main_pid(each) for each in SERVICES if each != service}
                install(host, service, version)
                assert current(host, service) == version
                assert f"/opt/seaway/{service}/" in host.shell(
                    f"cat /proc/{host.main_pid(service)}/cmdline | tr '\\0' ' '"
                )
                host.await_active()
                assert {each: host.main_pid(each) for each in others} == others, "an upgrade took another service along"
                skew.check(", ".join(f"{name} {at}" for name, at in all_current(host).items()))
                witness.unharmed()
            done, failed = witness.answered()
            assert done and not failed
        finally:
            skew.remove()


@pytest.mark.timeout(1800)
def test_a_host_at_work_notices_nothing_of_any_upgrade(host: SystemdHost) -> None:
    """Twenty containers under load; each package upgraded in every order, and taken back."""
    began = time.monotonic()
    with at_work(host) as scene:
        for order in ORDERS:
            for version in (NEW, OLD):
                for service in order:
                    install(host, service, version)
                    host.await_active()
                    scene.unharmed()
        verdict = scene.verdict()
    seconds = time.monotonic() - began
    rate = verdict["lines of loud"][0] * 1000 / seconds / 1e6
    print(f"\nthe scene, {seconds:.0f} s, log {rate:.1f} MB/s, slowest answer typed for {scene.typist.slowest:.1f} s")
    for what, (count, wrong) in verdict.items():
        print(f"  {what:20} {count:8}   wrong: {len(wrong)}  {wrong[:3] or ''}")
    assert {what: wrong for what, (_, wrong) in verdict.items() if wrong} == {}


def test_a_version_that_cannot_be_imported_never_becomes_the_current_one(host: SystemdHost) -> None:
    spoiled = spoil(host, "daemon", "echo 'import nowhere' >>seaway_daemon/server.py")
    before = host.main_pid("daemon")
    said = host.run("dpkg", "-i", spoiled, check=False)
    assert "doesn't work on this host" in said
    assert current(host, "daemon") == OLD
    assert host.main_pid("daemon") == before
    install(host, "daemon", OLD)


def test_a_version_that_does_not_get_ready_is_taken_back(host: SystemdHost) -> None:
    spoiled = spoil(
        host, "daemon", "echo 'async def serve(*_): raise OSError(\"spoiled\")' >>seaway_daemon/__main__.py"
    )
    said = host.run("dpkg", "-i", spoiled, check=False)
    assert f"going back to {OLD}" in said
    assert current(host, "daemon") == OLD
    until(lambda: "Server" in host.run("docker", "version", check=False))
    install(host, "daemon", OLD)
