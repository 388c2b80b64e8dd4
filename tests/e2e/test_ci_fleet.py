"""docker-compose.ci.yml: four hosts and a registry, each a container of the engine under test: Seaway in Seaway."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conditions import until
from support.docker import Docker
from support.target import KIND

FILE = Path(__file__).resolve().parents[2] / "docker-compose.ci.yml"
OPT = os.environ.get("SEAWAY_OPT", "/opt/seaway")
ETC = ("passwd", "group", "nsswitch.conf", "protocols", "services", "ssl", "alternatives")
HOSTS = {"hub": "h0", "h1": "h1", "h2": "h2", "h3": "h3"}
"""The services that are hosts, and what these are called."""


class Project:
    """The project, and what is said in its hosts."""

    def __init__(self, docker: Docker, name: str) -> None:
        self.docker = docker
        self.name = name

    def compose(self, *argv: str) -> str:
        """What docker-compose prints."""
        environment = {**self.docker.environment, "SEAWAY_OPT": OPT}
        words = ["docker-compose", "-f", str(FILE), "-p", self.name, *argv]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    def run(self, service: str, *argv: str) -> str:
        """What a command prints in a host."""
        return self.docker.ok("exec", f"{self.name}_{service}_1", *argv, timeout=150)

    def seaway(self, service: str, *argv: str) -> str:
        """What `seaway` prints there."""
        return self.run(service, f"{OPT}/cli/current/bin/seaway", *argv)

    def listed(self, service: str, what: str) -> list[dict[str, Any]]:
        """What `seaway fleet ls` or `ps` lists, as one host sees it."""
        return [json.loads(line) for line in self.seaway(service, "fleet", what, "--format", "json").splitlines()]


@pytest.fixture
def project(docker: Docker, name: str, tmp_path: Path) -> Iterator[Project]:
    """The project, up and well; down after it."""
    if KIND != "seaway":
        pytest.skip("it is Seaway that runs Seaway here")
    if not shutil.which("docker-compose") or not Path(OPT, "fleet/current").exists():
        pytest.skip("needs docker-compose, and Seaway in SEAWAY_OPT: packaging/install")
    if "seaway-ci-host" not in docker.ok("images", "--format", "{{.Repository}}").split():
        docker("import", "-", "seaway-ci-host", input=archive(tmp_path))
    given = Project(docker, name)
    try:
        given.compose("up", "-d", "registry")
        for service in HOSTS:  # one after the other: an engine that begins wants a processor for itself
            given.compose("up", "-d", service)
            until(lambda s=service: healthy(docker, f"{name}_{s}_1"), 120)
        yield given
    finally:
        given.compose("down", "-v", "-t", "20")
        with contextlib.suppress(AssertionError):
            docker.ok("rmi", "seaway-ci-host")


def healthy(docker: Docker, container: str) -> bool:
    state = docker.inspect(container)["State"]
    assert state["Running"], docker("logs", container).err[-2000:]
    return bool(state["Health"]["Status"] == "healthy")


def archive(place: Path) -> bytes:
    """A root file system of directories, and of what programs read in /etc; the programs themselves are mounted."""
    root = place / "root"
    for each in ("etc", "tmp", "run", "root", "proc", "sys", "dev", "var/lib", "usr", "bin", "sbin", "lib", "lib64"):
        (root / each).mkdir(parents=True, exist_ok=True)
    there = [each for each in ETC if Path("/etc", each).exists()]
    subprocess.run(["cp", "-a", *(f"/etc/{each}" for each in there), str(root / "etc")], check=True)
    return subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fleet_comes_up_in_containers_of_seaway_itself(project: Project) -> None:
    project.seaway("hub", "fleet", "init", "ci", "--address", "hub")
    for service in ("h1", "h2", "h3"):
        token = project.seaway("hub", "fleet", "token", "--quiet").strip()
        project.seaway(service, "fleet", "join", "hub", token)
    until(lambda: [each["State"] for each in project.listed("h2", "ls")] == ["ready"] * 4, 60)

    image = 'tar -C "$(mktemp -d)" -c . | docker -H unix:///run/seaway/engine.sock import - empty'
    binds = [word for each in ("/usr", "/bin", "/lib", "/lib64") for word in ("-v", f"{each}:{each}:ro")]
    for service, host in HOSTS.items():
        project.run(service, "sh", "-c", image)
        project.seaway("h1", "-H", host, "run", "-d", "--name", f"inner-{host}", *binds, "empty", "sleep", "600")
    found = {(each["Node"], each["Names"][0], each["State"]) for each in project.listed("h3", "ps")}
    assert found == {(host, f"/inner-{host}", "running") for host in HOSTS.values()}
    assert "inner-h2" in project.seaway("h3", "fleet", "exec", "--name", "inner-h2", "--", "echo", "inner-h2")
