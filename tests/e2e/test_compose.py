"""docker-compose, Debian's own: projects are brought up, looked at, changed, scaled, and taken down."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.conditions import until
from support.docker import Docker, Result

FILE = """
version: "3.7"
services:
  web:
    image: {image}
    command: ["httpd", "-f", "-p", "80", "-h", "/www"]
    volumes: ["pages:/www", "{place}/once.txt:/www/once.txt:ro"]
    environment: [COLOUR=blue]
    labels: {{role: front}}
    depends_on: [db]
    restart: unless-stopped
    healthcheck: {{test: ["CMD", "true"], interval: 1s}}
  db:
    image: {image}
    command: ["sh", "-c", "echo ready; exec sleep 600"]
    networks: {{default: {{aliases: [store]}}}}
volumes:
  pages: {{}}
"""


Compose = Callable[..., Result]


@pytest.fixture
def compose(docker: Docker, image: str, name: str, tmp_path: Path) -> Iterator[Compose]:
    """docker-compose with a project of the test's own, which is taken down after it."""
    if not shutil.which("docker-compose"):
        pytest.skip("needs docker-compose: apt-get install docker-compose")
    tmp_path.chmod(0o755)
    (tmp_path / "once.txt").write_text("once upon a time\n")
    (tmp_path / "docker-compose.yml").write_text(FILE.format(image=image, place=tmp_path))

    def run(*argv: str) -> Result:
        words = ("docker-compose", "-p", name, *argv)
        done = subprocess.run(
            words, cwd=tmp_path, env=docker.environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Result(done.returncode, done.stdout, done.stderr, words)

    yield run
    assert run("down", "-v", "-t", "1").code == 0


def done(result: Result) -> str:
    assert result.code == 0, f"{result.argv} ended with {result.code}: {result.err}"
    return result.out


def test_a_project_is_brought_up_and_its_services_reach_each_other(compose: Compose, docker: Docker, name: str) -> None:
    done(compose("up", "-d"))
    web = done(compose("ps", "-q", "web")).strip()
    until(lambda: docker.inspect(web)["State"]["Health"]["Status"] == "healthy", 30)
    assert "once upon" in done(compose("exec", "-T", "db", "wget", "-qO-", "http://web/once.txt"))
    assert "1 packets received" in done(compose("exec", "-T", "web", "ping", "-c", "1", "-W", "2", "store"))
    assert "ready" in done(compose("logs", "--no-color", "db"))
    assert docker.inspect(web)["Config"]["Labels"]["com.docker.compose.project"] == name
    assert docker.ok("volume", "ls", "-q", "-f", f"name={name}_pages") == f"{name}_pages"


def test_what_has_not_changed_is_left_alone_and_what_has_is_made_anew(
    compose: Compose, docker: Docker, tmp_path: Path
) -> None:
    done(compose("up", "-d"))
    before = {each: done(compose("ps", "-q", each)).strip() for each in ("web", "db")}
    done(compose("up", "-d"))
    assert {each: done(compose("ps", "-q", each)).strip() for each in before} == before
    file = tmp_path / "docker-compose.yml"
    file.write_text(file.read_text().replace("COLOUR=blue", "COLOUR=green"))
    done(compose("up", "-d", "-t", "1"))
    assert done(compose("ps", "-q", "db")).strip() == before["db"]
    assert done(compose("ps", "-q", "web")).strip() != before["web"]
    assert "green" in done(compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR"))


def test_a_service_is_scaled_stopped_started_and_run_once(compose: Compose, docker: Docker) -> None:
    done(compose("up", "-d", "--scale", "db=3"))
    assert len(done(compose("ps", "-q", "db")).split()) == 3
    done(compose("up", "-d", "--scale", "db=1", "-t", "1"))
    (left,) = done(compose("ps", "-q", "db")).split()
    done(compose("stop", "-t", "1", "db"))
    assert docker.state(left) == "exited"
    done(compose("start", "db"))
    docker.await_state(left, "running")
    assert done(compose("run", "--rm", "-T", "db", "echo", "just once")).splitlines()[-1] == "just once"


def test_down_leaves_nothing_but_the_volumes_unless_told(compose: Compose, docker: Docker, name: str) -> None:
    done(compose("up", "-d"))
    done(compose("down", "-t", "1"))
    mine = f"label=com.docker.compose.project={name}"
    assert docker.ok("ps", "-aq", "-f", mine) == ""
    assert docker.ok("network", "ls", "-q", "-f", mine) == ""
    assert docker.ok("volume", "ls", "-q", "-f", mine) != ""
    done(compose("down", "-v"))
    assert docker.ok("volume", "ls", "-q", "-f", mine) == ""


def test_config_is_understood(compose: Compose) -> None:
    assert "COLOUR: blue" in done(compose("config"))
