"""Two engines in a fleet, on loopback: the real docker CLI, over TLS to the one, on the other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import images
from support.api import Api
from support.certificates import Authority
from support.conditions import until
from support.docker import Docker, Result
from support.fleet_bus import free_ports
from support.target import Target, installed, seaway, seaway_only

pytestmark = [seaway_only("dockerd knows no other hosts"), pytest.mark.timeout(180)]

HERE, THERE = "e1", "e2"


def run(target: Target, *words: str, input: str = "") -> Result:
    """`seaway` on an engine."""
    argv = [str(installed()), "--socket", str(target.socket), *words]
    done = subprocess.run(argv, capture_output=True, text=True, input=input, timeout=90, check=False)
    return Result(done.returncode, done.stdout, done.stderr, tuple(argv))


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Target, Target, Callable[[str], Docker]]]:
    """Both, and the docker CLI on any of them by the first one's address."""
    if "SEAWAY_HOST" in os.environ:
        pytest.skip("it needs two engines of its own")
    if shutil.which("docker") is None:
        pytest.skip("the docker CLI isn't installed")
    with tempfile.TemporaryDirectory(prefix="seaway-tls-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        authority = Authority(Path(directory))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        tls = ("--tcp", address, "--tls", str(authority.engine("127.0.0.1")))
        with (
            seaway("other-here", "--fleet", "--node", HERE, *tls) as here,
            seaway("other-there", "--fleet", "--node", THERE) as there,
        ):
            made = run(here, "fleet", "init", "e2e", "--address", f"127.0.0.1:{free_ports()}")
            assert made.code == 0, made.err
            until(lambda: run(here, "fleet", "token", "-q").code == 0, 60, 0.2)
            joined = run(there, "fleet", "join", "-", input=run(here, "fleet", "token", "-q").out)
            assert joined.code == 0, joined.err
            until(lambda: Api(here.socket).get(f"/nodes/{THERE}/_ping").status == 200, 60, 0.1)

            def docker(node: str) -> Docker:
                found = Docker(f"tcp://{address}/nodes/{node}", Path(directory))
                found.environment |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(authority.docker("alice"))}
                return found

            archive = Path(directory) / "busybox.tar"
            archive.write_bytes(images.archive(images.busybox(), "busybox:1"))
            for node in (HERE, THERE):
                docker(node).ok("load", "-i", str(archive))
            yield here, there, docker


Hosts = tuple[Target, Target, Callable[[str], Docker]]


def test_run_there_with_input_and_its_end(hosts: Hosts) -> None:
    docker = hosts[2](THERE)
    assert docker.ok("run", "--rm", "busybox:1", "echo", "hello") == "hello"
    assert docker.ok("run", "-i", "--rm", "busybox:1", "wc", "-c", input=b"x" * 5_000_000) == "5000000"
    result = docker("run", "--rm", "busybox:1", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")
    assert len(docker.ok("run", "--rm", "busybox:1", "sh", "-c", "yes | head -c 5000000")) >= 4_999_999


def test_it_runs_there_and_not_here(hosts: Hosts) -> None:
    here, there, docker = hosts
    id = docker(THERE).ok("run", "-d", "--name", "placed", "--label", "app=placed", "busybox:1", "sleep", "600")
    assert [each["Id"] for each in Api(there.socket).get("/containers/json").json] == [id]
    assert Api(here.socket).get("/containers/json").json == []
    assert docker(THERE).ok("exec", "placed", "hostname") == id[:12]
    assert id[:12] in docker(THERE).ok("ps")
    events = ("events", "--since", "1m", "--until", "0s", "--filter", "type=container")
    until(lambda: "app=placed" in docker(THERE).ok(*events), 30, 0.5)  # docker's times are whole seconds


def test_a_terminal_there(hosts: Hosts) -> None:
    terminal = hosts[2](THERE).terminal("run", "-it", "--rm", "busybox:1", "sh", rows=30, columns=100)
    terminal.expect("#")
    terminal.sendline("stty size; exit 5")
    terminal.expect("30 100")
    terminal.expect_exact("\r\n")
    terminal.wait()
    assert terminal.exitstatus == 5


def test_logs_follow_until_the_end(hosts: Hosts) -> None:
    docker = hosts[2](THERE)
    docker.ok("run", "-d", "--name", "counting", "busybox:1", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done")
    assert docker.ok("logs", "-f", "counting") == "1\n2\n3"
    assert docker.ok("wait", "counting") == "0"
    docker.ok("rm", "counting")


def test_verbs_on_many_hosts(hosts: Hosts) -> None:
    here, *_ = hosts
    assert run(here, "-H", THERE, "run", "--rm", "busybox:1", "echo", "hi").out == "hi\n"
    argv = [installed(), "--socket", here.socket, "-H", THERE, "run", "-i", "--rm", "busybox:1", "wc", "-c"]
    with Path(__file__).open("rb") as file:
        counted = subprocess.run(argv, stdin=file, capture_output=True, timeout=90, check=True).stdout
    assert int(counted) == Path(__file__).stat().st_size
    done = run(here, "fleet", "run", "--rm", "--json", "busybox:1", "sh", "-c", "echo from; exit 3")
    told = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 1, done.err
    assert {(each["Node"], each["ExitCode"], each["Stdout"]) for each in told} == {
        (HERE, 3, "from\n"),
        (THERE, 3, "from\n"),
    }
    assert run(here, "fleet", "exec", "--label", "nobody=has", "--", "true").code != 0


def test_the_audit_of_both_hosts(hosts: Hosts) -> None:
    here, _, docker = hosts
    docker(THERE)("rm", "-f", "nosuch")

    def removals() -> set[tuple[str, str, str, str]]:
        lines = run(here, "fleet", "audit", "--since", "10m", "--format", "json").out.splitlines()
        found = [json.loads(line) for line in lines]
        return {
            (each["Host"], each["Actor"], each["Node"], each["To"])
            for each in found
            if each["Method"] == "DELETE" and each["Object"] == "nosuch"
        }

    until(lambda: removals() == {(HERE, "alice", "", THERE), (THERE, "alice", HERE, "")}, 60, 0.3)


def test_a_connection_there_survives_the_daemon_here(hosts: Hosts) -> None:
    """The unix socket's: what goes over TLS ends with whoever has its keys."""
    here, *_ = hosts
    argv = [installed(), "--socket", here.socket, "-H", THERE, "run", "-i", "--rm", "busybox:1", "cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"before\n")
        assert process.stdout.read(7) == b"before\n"
        daemon = here.root / "run" / "services" / "daemon.pid"
        before = daemon.read_text()
        os.kill(int(before), signal.SIGKILL)
        process.stdin.write(b"after\n")
        assert process.stdout.read(6) == b"after\n"
        until(lambda: daemon.read_text() != before, 60, 0.1)
        process.stdin.close()
        assert process.stdout.read() == b""
        process.wait(60)


def test_a_host_that_goes_away_ends_what_waits_for_it(hosts: Hosts) -> None:
    _, there, docker = hosts
    with docker(THERE).start("logs", "-f", "placed") as following:
        time.sleep(0.5)  # it has begun to follow, most likely; either way it has to end
        os.kill(int((there.root / "run" / "services" / "fleet.pid").read_text()), signal.SIGKILL)
        following.wait(60)
    until(lambda: docker(THERE)("ps").code == 0, 60, 0.3)  # its service manager has it back
    assert "placed" in docker(THERE).ok("ps")
    docker(THERE).ok("rm", "-f", "placed")
