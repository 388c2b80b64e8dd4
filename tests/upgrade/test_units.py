"""The units under a real systemd: whatever is done to a service, containers don't notice."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.conditions import until
from support.systemd_host import SERVICES, SystemdHost
from support.witness import Witness, witnessing

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "units.md"


@pytest.fixture
def witness(host: SystemdHost) -> Iterator[Witness]:
    with witnessing(host) as witness:
        yield witness


def test_the_units_are_without_mistakes(host: SystemdHost) -> None:
    assert host.shell("systemd-analyze verify /usr/local/lib/systemd/system/seaway*") == ""


def test_each_service_runs_as_whom_it_should(host: SystemdHost) -> None:
    users = {each: host.run("stat", "-c", "%U", f"/proc/{host.main_pid(each)}").strip() for each in SERVICES}
    expected = {each: "root" for each in SERVICES}
    assert users == {**expected, "bus": "seaway-bus", "daemon": "seaway"}


def test_what_shims_must_see_is_mounted_for_all(host: SystemdHost) -> None:
    first = host.run("readlink", "/proc/1/ns/mnt")
    for each in ("network", "shim", "supervisor"):
        assert host.run("readlink", f"/proc/{host.main_pid(each)}/ns/mnt") == first, each


def test_a_credential_is_its_own_services_alone(host: SystemdHost) -> None:
    for each in ("daemon", "network", "runtime", "shim", "supervisor"):
        owner = "seaway" if each == "daemon" else "root"
        shown = host.run("stat", "-c", "%U %a", f"/run/credentials/seaway-{each}.service/bus.creds").split()
        assert shown == [owner, "400"], each
    host.shell("! setpriv --reuid seaway --clear-groups cat /var/lib/seaway/bus/credentials/daemon.creds 2>/dev/null")


@pytest.mark.parametrize("service", SERVICES)
def test_a_restart_of_a_service_costs_a_container_nothing(host: SystemdHost, witness: Witness, service: str) -> None:
    others = {each: host.main_pid(each) for each in SERVICES if each != service}
    old = host.main_pid(service)
    host.run("systemctl", "restart", f"seaway-{service}")
    assert host.main_pid(service) != old
    host.await_active()
    assert {each: host.main_pid(each) for each in others} == others, "a restart took another service along"
    witness.unharmed()
    done, failed = witness.answered()
    assert done and not failed


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_and_costs_a_container_nothing(
    host: SystemdHost, witness: Witness, service: str
) -> None:
    others = {each: host.main_pid(each) for each in SERVICES if each != service}
    old = host.main_pid(service)
    host.run("busybox", "kill", "-KILL", str(old))
    until(lambda: host.main_pid(service) not in (0, old))
    host.await_active()
    assert {each: host.main_pid(each) for each in others} == others, "an end took another service along"
    witness.unharmed()
    done, failed = witness.answered()
    assert done and not failed


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_systemd_itself_costs_a_container_nothing(host: SystemdHost, witness: Witness, verb: str) -> None:
    main = {each: host.main_pid(each) for each in SERVICES}
    limit = "cat /sys/fs/cgroup/memory/seaway.slice/seaway-containers.service/*/memory.limit_in_bytes"
    before = host.shell(limit) if host.limits else ""
    host.run("systemctl", verb)
    host.run("systemctl", "set-property", "--runtime", "seaway.slice", "CPUWeight=200")
    host.await_active()
    assert {each: host.main_pid(each) for each in SERVICES} == main
    if host.limits:
        assert host.shell(limit) == before == f"{64 << 20}\n"
    witness.unharmed()
    done, failed = witness.answered()
    assert done and not failed


def test_the_engine_stopped_and_started_costs_a_container_nothing(host: SystemdHost, witness: Witness) -> None:
    host.run("systemctl", "stop", "seaway.target")
    until(lambda: not any(host.main_pid(each) for each in SERVICES))
    assert host.run("cat", f"/proc/{witness.pid}/cgroup") == witness.groups
    host.run("systemctl", "start", "seaway.target")
    host.await_active()
    witness.unharmed()
    done, failed = witness.answered()
    assert done and not failed


def test_no_client_is_refused_while_the_daemon_restarts(host: SystemdHost) -> None:
    ask = "for ask in 1 2 3 4 5; do docker version >/dev/null; done"
    host.shell(f"for time in 1 2 3; do systemctl restart --no-block seaway-daemon; {ask}; done")
    host.await_active()


def test_what_is_open_with_the_daemon_goes_on_without_it(host: SystemdHost) -> None:
    script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; usleep 10000; done; exit 7"
    host.run("docker", "run", "-d", "--name", "talkative", "busybox", "sh", "-c", script)
    try:
        host.shell(
            "docker logs -f talkative >/tmp/logged & docker wait talkative >/tmp/waited &"
            "until [ -s /tmp/logged ]; do sleep 0.1; done; until docker ps >/dev/null; do :; done\n"
            "for time in 1 2 3; do systemctl restart seaway-daemon; docker version >/dev/null\n"
            "systemctl kill --kill-whom=main -s KILL seaway-daemon; docker version >/dev/null; done\n"
            "docker exec talkative busybox touch /stop; wait"
        )
        numbers = [int(line) for line in host.run("cat", "/tmp/logged").split()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) == len(host.run("docker", "logs", "talkative").split())
        assert host.run("cat", "/tmp/waited") == "7\n"
    finally:
        host.await_active()
        host.run("docker", "rm", "-f", "talkative")


def test_who_is_in_the_group_for_metrics_reads_those_of_all_services_and_nothing_else(host: SystemdHost) -> None:
    script = """
import socket
def ask(path, target):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        client.sendall(f"GET {target} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()
print(ask("/run/seaway/metrics/daemon.sock", "/metrics"))
assert ask("/run/seaway/metrics/daemon.sock", "/containers/json").startswith("HTTP/1.1 404")
try:
    ask("/run/seaway/engine.sock", "/metrics")
except PermissionError:
    print("refused")
"""
    as_scraper = "setpriv --reuid nobody --regid seaway-metrics --clear-groups python3 -"
    told = host.shell(f"{as_scraper} <<'END'\n{script}\nEND")
    for service in _RELOADED:
        assert f'seaway_bus_connected{{service="{service}"}} 1' in told
        assert service == "daemon" or f'seaway_up{{service="{service}"}} 1' in told
    assert told.rstrip().endswith("refused")
    host.shell("! setpriv --reuid nobody --regid nogroup --clear-groups ls /run/seaway/metrics 2>/dev/null")
    assert host.shell("stat -c '%U %G %a' /run/seaway/metrics").split() == ["root", "seaway-metrics", "2750"]


def test_a_daemon_that_was_upgraded_to_metrics_has_its_socket_after_its_restart(host: SystemdHost) -> None:
    host.run("systemctl", "stop", "seaway-daemon-metrics.socket")
    host.shell("test ! -e /run/seaway/metrics/daemon.sock")
    host.run("systemctl", "restart", "seaway-daemon")
    host.await_active()
    assert host.property("seaway-daemon-metrics.socket", "ActiveState") == "active"
    assert "seaway_build_info" in host.shell(
        "printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' | timeout 30 python3 -c '"
        'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect("/run/seaway/metrics/daemon.sock"); '
        's.sendall(sys.stdin.buffer.read()); print(b"".join(iter(lambda: s.recv(65536), b"")).decode())\''
    )


def test_a_reload_changes_what_can_change_and_ends_nothing(host: SystemdHost, witness: Witness) -> None:
    main = {each: host.main_pid(each) for each in SERVICES}
    with _debugging(host):
        assert {each: host.main_pid(each) for each in SERVICES} == main
        for each in _RELOADED:
            assert host.property(f"seaway-{each}", "ActiveState") == "active"
            reloaded = f"journalctl -q -o cat _PID={main[each]} MESSAGE='Reloaded log_level'"
            until(lambda reloaded=reloaded: host.shell(reloaded))  # type: ignore[misc]
    witness.unharmed()
    done, failed = witness.answered()
    assert done and not failed


def test_the_journal_tells_the_story_of_a_request_through_all_services(host: SystemdHost) -> None:
    host.run("docker", "create", "--name", "story", "busybox", "sleep", "60")
    id = host.run("docker", "inspect", "--format", "{{.Id}}", "story").strip()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    start = f"""
import http.client, socket
client = http.client.HTTPConnection("docker")
client.sock = socket.socket(socket.AF_UNIX)
client.sock.connect("/run/seaway/engine.sock")
client.request("POST", "/containers/story/start", headers={{"traceparent": "00-{trace}-00f067aa0ba902b7-01"}})
answer = client.getresponse()
print(answer.status, answer.headers["Traceparent"])
"""
    with _debugging(host):
        assert host.run("python3", "-c", start).split() == ["204", f"00-{trace}-00f067aa0ba902b7-01"]

        def told(match: str) -> set[tuple[str, str]]:
            lines = host.run("journalctl", "-q", "-o", "json", match).splitlines()
            return {(each["SEAWAY_SERVICE"], each["SEAWAY_CALL"]) for each in map(json.loads, lines)}

        expected = {("supervisor", "supervisor.start"), ("runtime", "runtime.plan"), ("network", "network.set_up")}
        until(lambda: told(f"SEAWAY_TRACE_ID={trace}") >= expected)
        until(lambda: ("supervisor", "supervisor.start") in told(f"SEAWAY_CONTAINER_ID={id}"))
    host.run("docker", "rm", "-f", "story")


_RELOADED = tuple(each for each in SERVICES if each != "bus")


@contextlib.contextmanager
def _debugging(host: SystemdHost) -> Iterator[None]:
    """Every service logs everything for the time of a `with`; nobody is restarted."""
    files = " ".join(f"/etc/seaway/{each}.d/90-debug.toml" for each in _RELOADED)
    units = " ".join(f"seaway-{each}" for each in _RELOADED)
    write = 'mkdir -p "$(dirname $file)"; echo \'log_level = "debug"\' >$file'
    host.shell(f"for file in {files}; do {write}; done; systemctl reload {units}")
    try:
        yield
    finally:
        host.shell(f"rm -f {files}; systemctl reload {units}")


def test_a_container_without_memory_is_its_own_affair(host: SystemdHost, witness: Witness) -> None:
    if not host.limits:
        pytest.skip("these control groups have no controllers")
    greedy = "x=$(busybox yes | busybox head -c 60000000)"
    assert "137" in host.shell(f"docker run --rm -m 8m busybox sh -c '{greedy}' || echo $?")
    assert host.property("seaway-containers", "ActiveState") == "active"
    witness.unharmed()


def test_the_keeper_of_the_groups_may_die(host: SystemdHost, witness: Witness) -> None:
    host.run("busybox", "kill", "-KILL", str(host.main_pid("containers")))
    until(lambda: host.main_pid("containers") == 0)
    assert host.property("seaway-containers", "ActiveState") == "active"
    witness.unharmed()


def test_stopping_the_containers_unit_ends_them_and_its_start_lets_them_run_again(host: SystemdHost) -> None:
    host.run("docker", "run", "-d", "--name", "ended", "busybox", "sleep", "1000")
    try:
        host.run("systemctl", "stop", "seaway-containers")
        state = ["docker", "inspect", "--format", "{{.State.Status}}", "ended"]
        until(lambda: host.run(*state) == "exited\n")
        host.run("systemctl", "start", "seaway-containers")
        host.run("docker", "start", "ended")
        assert host.run(*state) == "running\n"
    finally:
        host.run("systemctl", "start", "seaway-containers")
        host.run("docker", "rm", "-f", "ended")


def test_each_unit_is_as_exposed_as_its_page_says(host: SystemdHost) -> None:
    written = dict(re.findall(r"^\| `(seaway-[a-z]+\.service)` \|.*\| ([0-9.]+) \|$", PAGE.read_text(), re.M))
    assert set(written) == {f"seaway-{each}.service" for each in (*SERVICES, "hub", "containers")}
    said = {unit: host.run("systemd-analyze", "security", "--no-pager", unit) for unit in written}
    assert {unit: re.findall(r"exposure level for \S+: ([0-9.]+)", page)[0] for unit, page in said.items()} == written
    assert float(written["seaway-daemon.service"]) <= 2.0


def test_after_a_reboot_the_engine_and_what_should_run_runs(host: SystemdHost) -> None:
    host.run("docker", "run", "-d", "--name", "again", "--restart", "always", "busybox", "sleep", "1000")
    try:
        host.reboot()
        state = ["docker", "inspect", "--format", "{{.State.Status}}", "again"]
        until(lambda: host.run(*state) == "running\n")
    finally:
        host.run("docker", "rm", "-f", "again")
