"""What the manual of `seaway` shows works, and a shell completes names that the engine knows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest
from manual import completion
from manual.examples import EXAMPLES
from support.api import Api
from support.completing import completed
from support.docker import Docker
from support.target import Target, installed, seaway_only

pytestmark = seaway_only("`seaway` is Seaway's command")

IN_ORDER = (
    "run", "", "ps", "images", "logs", "inspect", "exec", "stop", "start", "restart", "kill", "version", "info", "fsck",
    "rm", "rmi",
)  # fmt: skip
OF_THE_HOST = {"fleet", "up", "down", "watch", "status", "doctor", "upgrade", "rollback"}
"""They are about the host's own engine, or root's to change; other tests run them."""
ELSEWHERE = {"pull", "events"}
"""A registry of the internet, and what never ends."""


def _environment(target: Target) -> dict[str, str]:
    return {**os.environ, "PATH": f"{installed().parent}:{os.environ['PATH']}", "SEAWAY_HOST": target.host}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def busybox(target: Target, image: str) -> None:
    """The image under the name that the manual uses."""
    Api(target.socket).post(f"/images/{image}/tag", repo="busybox", tag="latest")


@pytest.mark.usefixtures("busybox")
def test_the_examples_of_the_manual_work(target: Target) -> None:
    assert {words.split()[0] if words else "" for words in EXAMPLES} <= {*IN_ORDER, *OF_THE_HOST, *ELSEWHERE}
    for words in IN_ORDER:
        for shown in EXAMPLES[words]:
            if shown.command == "seaway doctor":
                continue  # about the host's own engine
            # Any free port: the one that is shown may be somebody's here.
            command = re.sub(r"127\.0\.0\.1:\d+:", lambda _: f"127.0.0.1:{_free_port()}:", shown.command)
            done = subprocess.run(
                ["sh", "-ec", command],
                env=_environment(target),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _completed(target: Target, directory: Path, *words: str) -> list[str]:
    return completed(" ".join(words), directory, _environment(target))


def test_bash_completes_the_names_of_what_there_is(
    target: Target, docker: Docker, tmp_path: Path, image: str, name: str
) -> None:
    docker.ok("run", "-d", "--name", f"{name}-runs", image, "sleep", "60")
    docker.ok("create", "--name", f"{name}-waits", image, "true")
    both = [f"{name}-runs", f"{name}-waits"]
    assert _completed(target, tmp_path, "seaway", "rm", name) == both
    assert _completed(target, tmp_path, "seaway", "rm", both[0], name) == both[1:]
    assert _completed(target, tmp_path, "seaway", "stop", name) == both[:1]
    assert _completed(target, tmp_path, "seaway", "exec", "-it", name) == both[:1]
    assert _completed(target, tmp_path, "seaway", "start", name) == both[1:]
    assert _completed(target, tmp_path, "seaway", "run", "--network", "bri") == ["bridge"]


def test_a_person_at_a_bash_gets_a_name_with_its_colons(target: Target, tmp_path: Path, image: str) -> None:
    completion.write(tmp_path)
    shell = pexpect.spawn(
        "bash",
        ["--norc", "-i"],
        env={**_environment(target), "PS1": "$ ", "TERM": "dumb"},
        encoding="utf-8",
        timeout=40,
    )
    try:
        shell.sendline(f"source {tmp_path}/bash-completion/completions/seaway")
        shell.sendline("echo re''ady")
        shell.expect("ready")
        begun = image[: image.index("/") + 2]
        shell.send(f"seaway inspect {begun}\t")
        shell.expect(re.escape(image))
    finally:
        shell.close(force=True)
