"""docker export: a container's whole root file system as one tar."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from support.docker import Docker


def exported(docker: Docker, name: str) -> tarfile.TarFile:
    done = subprocess.run(["docker", "export", name], env=docker.environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


@pytest.mark.parametrize("running", [True, False])
def test_the_root_comes_without_what_is_mounted_on_it(
    docker: Docker, image: str, name: str, tmp_path: Path, *, running: bool
) -> None:
    (tmp_path / "bound").write_text("bound")
    mounts = ("-v", f"{name}:/vol", "-v", f"{tmp_path}:/mnt", "--tmpfs", "/t")
    script = "echo own >/own; rm /bin/vi; echo v >/vol/v; echo t >/t/t; echo ready; sleep 600"
    docker.ok("run", "-d", "--name", name, *mounts, image, "sh", "-c", script)
    docker.await_logs(name, "ready")
    if not running:
        docker.ok("kill", name)
    with exported(docker, name) as tar:
        names = set(tar.getnames())
        own = tar.extractfile("own")
        assert own and own.read() == b"own\n"
    assert {"own", "bin", "bin/busybox", "etc/passwd", "vol", "mnt", "proc"} <= names
    assert not {"bin/vi", "vol/v", "mnt/bound", "t/t"} & names
    assert not [each for each in names if each.startswith(("/", ".//", "proc/", "sys/"))]


def test_what_is_exported_can_be_imported_and_run(docker: Docker, image: str, name: str, tmp_path: Path) -> None:
    docker.ok("create", "--name", name, image, "true")
    docker.ok("export", "-o", str(tmp_path / "root.tar"), name)
    docker.ok("import", str(tmp_path / "root.tar"), f"{name}:1")
    assert docker.shell(f"{name}:1", "cat /etc/passwd") == docker.shell(image, "cat /etc/passwd")


def test_it_is_told(docker: Docker, sleeping: str) -> None:
    since = time.time()
    exported(docker, sleeping).close()
    assert [each["Action"] for each in docker.happened(since, f"container={sleeping}")] == ["export"]


def test_what_isnt_there_cant_be_exported(docker: Docker) -> None:
    told = docker("export", "no-such-container")
    assert told.code == 1 and "No such container: no-such-container" in told.err
