"""Containers' limits on a machine of its own: Debian's kernel, and cgroup version 2 alone with all controllers.

What is shown here no other test can: elsewhere the controllers are version 1's (`tox -e vm`; docs/adr/0013).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import systemd_vm
from support.systemd_host import SERVICES

SOURCES = Path(__file__).parents[2]
VERBS = ["daemon-reload", "daemon-reexec", "set-property --runtime seaway.slice CPUWeight=200"]
VERBS += [f"restart seaway-{service}" for service in SERVICES]

_SCRIPT = """
set -eu
export DOCKER_HOST=unix:///run/seaway/engine.sock
mount --make-shared /
cp -a /src/opt /opt/seaway
cp /src/docker /usr/bin/docker
/src/packaging/units >/dev/null
systemctl start seaway.target
ready() { for i in $(seq 300); do timeout 10 docker version >/dev/null 2>&1 && return; sleep 0.2; done; exit 9; }
part() { echo "--- $*"; }
run() { timeout 120 docker run "$@"; }
# Here a call may take longer than its caller has patience for: then it is made again.
new() { for i in 1 2 3; do run --rm -m 32m busybox sh -c 'echo here' 2>/dev/null && return; sleep 5; done; exit 8; }
ready
mkdir -p /tmp/image/bin
for name in busybox sh sleep tail usleep; do cp /bin/busybox /tmp/image/bin/$name; done
tar -C /tmp/image -c . | docker import - busybox >/dev/null
unit=/sys/fs/cgroup/seaway.slice/seaway-containers.service
run -d --name limited -m 64m --memory-swap 80m --pids-limit 50 --cpus 0.5 --cpu-shares 512 busybox \\
    sh -c 'i=0; while :; do echo $i; i=$((i+1)); usleep 100000; done' >/dev/null
group=$unit/$(docker inspect -f '{{.Id}}' limited)
limits() {
    cat /proc/$(docker inspect -f '{{.State.Pid}}' limited)/cgroup
    for file in memory.max memory.swap.max pids.max cpu.max cpu.weight; do echo "$file $(cat $group/$file)"; done
}
process() { docker inspect -f '{{.State.Pid}} {{.State.Status}}' limited; limits; }
part before; process
@VERBS@
part keeper
busybox kill -9 $(systemctl show -p MainPID --value seaway-containers)
new
systemctl is-active seaway-containers; process
part oom
docker events --filter event=oom --format '{{.Action}} {{.Actor.Attributes.name}}' >/tmp/events & events=$!
run --name greedy -m 32m --memory-swap 32m busybox tail /dev/zero || echo "code $?"
run --name partly -m 32m --memory-swap 32m busybox sh -c 'tail /dev/zero; echo "child $?"; sleep 1' 2>/dev/null
docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' greedy partly
for i in $(seq 100); do [ $(wc -l </tmp/events) = 2 ] && break; sleep 0.2; done
cat /tmp/events; kill $events
part verbs
docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' limited
docker top limited -o comm | tail -1
docker pause limited >/dev/null; grep frozen $group/cgroup.events
docker unpause limited >/dev/null; grep frozen $group/cgroup.events
docker update -m 96m --memory-swap 112m --cpus 0.25 --pids-limit 60 limited >/dev/null; limits
docker kill limited >/dev/null; docker wait limited
part restart
docker start limited >/dev/null
systemctl restart seaway-containers
docker wait limited
docker start limited >/dev/null; limits
docker rm -f limited greedy partly >/dev/null
ls -d $unit/*/
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """What each part of the script printed."""
    opt, docker = Path(os.environ.get("SEAWAY_OPT", "/opt/seaway")), shutil.which("docker")
    if missing := [*systemd_vm.missing(), *([] if docker else ["docker"])]:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install qemu-system-x86 debootstrap docker.io")
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(opt, source / "opt", symlinks=True)
    shutil.copy(docker or "", source / "docker")
    for part in ("packaging", "systemd"):
        shutil.copytree(SOURCES / part, source / part)
    verbs = "".join(f"part {verb}; systemctl {verb}; ready; process; new\n" for verb in VERBS)
    ended = systemd_vm.run(_SCRIPT.replace("@VERBS@", verbs), source, 900)
    assert ended.status == 0, f"it ended with {ended.status}: {ended.said[-3000:]} {ended.console[-1000:]}"
    yield {head: lines for part in ended.said.split("--- ")[1:] for head, *lines in [part.splitlines()]}


def group_and_limits(lines: list[str]) -> tuple[str, list[str]]:
    return lines[0].rpartition("/")[0], lines[1:]


LIMITS = [f"memory.max {64 << 20}", f"memory.swap.max {16 << 20}", "pids.max 50", "cpu.max 50000 100000"]
UPDATED = [f"memory.max {96 << 20}", f"memory.swap.max {16 << 20}", "pids.max 60", "cpu.max 25000 100000"]


def test_limits_are_applied_in_a_group_below_the_unit(said: dict[str, list[str]]) -> None:
    group, limits = group_and_limits(said["before"][1:])
    assert group == "0::/seaway.slice/seaway-containers.service"
    assert limits[:4] == LIMITS and limits[4].startswith("cpu.weight ")


@pytest.mark.parametrize("verb", VERBS)
def test_whatever_is_done_they_stay_and_new_containers_start(said: dict[str, list[str]], verb: str) -> None:
    assert said[verb] == [*said["before"], "here"]


def test_the_unit_needs_no_process_of_its_own_while_containers_run(said: dict[str, list[str]]) -> None:
    assert said["keeper"] == ["here", "active", *said["before"]]


def test_an_oom_kill_is_told_when_it_happens(said: dict[str, list[str]]) -> None:
    assert said["oom"] == ["code 137", "child 137", "true 137", "true 0", "oom greedy", "oom partly"]


def test_verbs_work_on_them(said: dict[str, list[str]]) -> None:
    usage, top, paused, unpaused, *limits, code = said["verbs"]
    assert usage.rpartition(" / ")[2].split()[0] == "64MiB"
    assert top in ("sh", "usleep")
    assert (paused, unpaused, code) == ("frozen 1", "frozen 0", "137")
    assert limits[1:5] == UPDATED


def test_a_restart_of_the_unit_ends_containers_and_lets_them_start_again(said: dict[str, list[str]]) -> None:
    code, *limits, left = said["restart"]
    assert code in ("137", "143")
    assert limits[1:5] == UPDATED
    assert left.endswith("/keeper/"), "groups of removed containers are left"
