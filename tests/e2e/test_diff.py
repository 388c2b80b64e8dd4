"""docker diff: what a container has added, changed and deleted."""

from __future__ import annotations

import pytest
from support.api import Api
from support.docker import Docker

SCRIPT = """
    echo new >/etc/added && echo more >>/etc/group && mkdir -p /opt/a/b && echo c >/opt/a/b/c && rm /bin/vi
    rm /etc/not-a-program && mkdir /etc/not-a-program && echo x >/etc/not-a-program/in
    touch /tmp/passing && rm /tmp/passing && chmod 700 /root && ln -s /etc /link && mkfifo /pipe
    : <>/etc/passwd && echo ready && sleep 600
"""
EXPECTED = {
    *("C /etc", "A /etc/added", "C /etc/group", "C /etc/not-a-program", "A /etc/not-a-program/in"),
    *("A /opt", "A /opt/a", "A /opt/a/b", "A /opt/a/b/c", "C /bin", "D /bin/vi", "C /root", "A /link", "A /pipe"),
}


@pytest.mark.parametrize("running", [True, False])
def test_changes_are_told_by_what_files_are(docker: Docker, image: str, name: str, *, running: bool) -> None:
    docker.ok("run", "-d", "--name", name, image, "sh", "-c", SCRIPT)
    docker.await_logs(name, "ready")
    if not running:
        docker.ok("kill", name)
    assert set(docker.ok("diff", name).splitlines()) == EXPECTED


def test_what_layers_hide_is_not_there_to_change(docker: Docker, registry: str, name: str) -> None:
    script = """
        rm -rf /full && mkdir /full && echo x >/full/other && mkdir /gone && echo x >/removed && rm /replaced
        rm /kept && mkdir /kept
    """
    docker.ok("run", "--name", name, f"{registry}/layered:1", "sh", "-c", script)
    assert set(docker.ok("diff", name).splitlines()) == {
        *("C /full", "A /full/other", "D /full/new", "A /gone", "A /removed", "D /replaced", "C /kept"),
    }


def test_no_changes_are_none(docker: Docker, api: Api, image: str, name: str) -> None:
    docker.ok("create", "--name", name, image, "true")
    assert docker.ok("diff", name) == ""
    assert not api.get(f"/containers/{name}/changes").json


def test_what_isnt_there_has_none(docker: Docker) -> None:
    told = docker("diff", "no-such-container")
    assert told.code == 1 and "No such container: no-such-container" in told.err
