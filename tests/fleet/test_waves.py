"""Three real hosts, each with a container at work, upgraded in waves: well, badly, and while things die."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.conditions import until
from support.fleet_hosts import Hosts
from support.systemd_host import SERVICES, SystemdHost
from support.witness import Witness, witnessing

NOW, NEXT = "0.1.1", "0.1.2"
ENDED = ("done", "aborted", "rolled back", "failed")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def witnesses(installed: Hosts) -> Iterator[list[Witness]]:
    """A container on each host that notices if anything happens to it."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(witnessing(host)) for host in installed.hosts]


def begin(hosts: Hosts, source: str, *options: str) -> str:
    """Begin an upgrade on the first host; its id."""
    return hosts[1].run("seaway", "fleet", "upgrade", "--from", source, "--detach", *options).splitlines()[-1]


def plan(hosts: Hosts, id: str) -> dict[str, Any]:
    """How it is; empty while nobody leads, or the daemon is being replaced."""
    try:
        found: dict[str, Any] = json.loads(hosts[1].run("seaway", "fleet", "upgrade", "status", "--json", id))
    except (AssertionError, ValueError):
        return {}
    return found


def ended(hosts: Hosts, id: str, seconds: float = 600) -> dict[str, Any]:
    return until(lambda: (found := plan(hosts, id)).get("State") in ENDED and found, seconds, pause=0.5) or {}


def states(found: dict[str, Any]) -> dict[str, str]:
    return {host["Node"]: host["State"] for host in found.get("Hosts", ())}


def steps(found: dict[str, Any], node: str) -> set[str]:
    """What became of a host's services so far."""
    return {step["State"] for host in found.get("Hosts", ()) if host["Node"] == node for step in host["Services"]}


def versions(host: SystemdHost) -> set[str]:
    return {host.run("readlink", f"/opt/seaway/{service}/current").strip() for service in SERVICES}


def happened(found: dict[str, Any], what: str, node: str = "") -> float:
    """When it came to that first."""
    return float(next(each["At"] for each in found["History"] if each["What"] == what and each["Node"] == node))


def spoiled(host: SystemdHost, service: str, how: str) -> str:
    """A directory on the host with all packages of the next version, one of which is spoiled."""
    host.shell(
        f"""
        rm -rf /tmp/spoiled /tmp/from; mkdir /tmp/from; cp /next/*.deb /tmp/from/
        dpkg-deb -R /tmp/from/seaway-{service}_{NEXT}_*.deb /tmp/spoiled
        cd /tmp/spoiled/opt/seaway/{service}/.package/lib/python3.11/site-packages
        {how}
        rm -rf seaway_{service}/__pycache__
        dpkg-deb -b /tmp/spoiled "$(ls /tmp/from/seaway-{service}_{NEXT}_*.deb)" >/dev/null
        """
    )
    return "/tmp/from"


def test_a_failing_canary_touches_one_host_and_is_rolled_back(installed: Hosts, witnesses: list[Witness]) -> None:
    """It can be imported and gets ready; only the container that is to prove it can't be run."""
    how = "sed -i 's/async def start(host/async def start_not(host/' seaway_supervisor/starting.py"
    began = time.monotonic()
    id = begin(installed, spoiled(installed[1], "supervisor", how))
    print(f"\npublished and begun: {time.monotonic() - began:.1f} s")
    until(lambda: "taken back" in steps(plan(installed, id), "h2"), 300, pause=0.2)
    failed_at = time.time()
    found = ended(installed, id)
    print(f"canary, from its beginning to rolled back: {found['EndedAt'] - happened(found, 'working', 'h2'):.1f} s")
    print(f"canary, from its failure to rolled back: {max(0.0, found['EndedAt'] - failed_at):.1f} s")
    print(f"  {found['Hosts'][0]['Says']}")
    assert (found["State"], states(found)) == ("rolled back", {"h1": "waiting", "h2": "restored", "h3": "waiting"})
    assert [versions(host) for host in installed.hosts] == [{NOW}] * 3
    for witness in witnesses:
        witness.unharmed()


def test_all_hosts_are_upgraded_though_the_leader_is_killed_at_each_step(
    installed: Hosts, witnesses: list[Witness]
) -> None:
    """The first host runs the only hub, and so leads: whenever the plan has moved, its fleet service is killed."""
    id = begin(installed, "/next", "--canary", "1", "--batch", "1", "--gate", "test -e /run/seaway/engine.sock")
    kills, last = 0, ""
    while (found := plan(installed, id)).get("State") not in ENDED:
        step = json.dumps([found.get("State"), states(found)])
        if found and step != last:
            last, kills = step, kills + 1
            installed[1].run("systemctl", "kill", "-s", "KILL", "seaway-fleet", check=False)
        time.sleep(0.2)
    took = found["EndedAt"] - found["CreatedAt"]
    print(f"\nthree hosts, all services, the leader killed {kills} times: {took:.0f} s")
    assert found["State"] == "done", found["Says"]
    assert [versions(host) for host in installed.hosts] == [{NEXT}] * 3
    assert kills >= 3
    assert [len([e for e in found["History"] if e["What"] == "working" and e["Node"] == n]) for n in states(found)] == [
        1
    ] * 3
    for host in found["Hosts"]:
        assert (host["Kept"], host["Restarted"]) == (1, [])
    for witness in witnesses:
        witness.unharmed()


def test_a_whole_upgrade_can_be_taken_back_afterwards(installed: Hosts, witnesses: list[Witness]) -> None:
    installed[1].run("seaway", "fleet", "upgrade", "rollback")
    id = json.loads(installed[1].run("seaway", "fleet", "history", "--json").splitlines()[0])["Id"]
    found = ended(installed, id)
    assert found["State"] == "rolled back", found["Says"]
    assert [versions(host) for host in installed.hosts] == [{NOW}] * 3
    for witness in witnesses:
        witness.unharmed()
        done, failed = witness.answered()
        assert done and not failed


def test_a_host_killed_in_the_middle_goes_on_when_it_is_back(installed: Hosts) -> None:
    id = begin(installed, "/next", "--canary", "1", "--away-timeout", "5m")
    until(lambda: states(plan(installed, id)).get("h2") == "working", 60)
    until(lambda: NEXT in versions(installed[2]), 120)
    installed.crash(2)
    installed.boot(2)
    found = ended(installed, id)
    assert found["State"] == "done", (found["Says"], found["Hosts"])
    assert [versions(host) for host in installed.hosts] == [{NEXT}] * 3
