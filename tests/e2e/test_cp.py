"""docker cp: files into containers and out of them, running or not."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from support.api import Answer, Api
from support.conditions import until
from support.docker import Docker
from support.target import seaway_only

Tar = tarfile.TarFile


def taken(docker: Docker, source: str) -> Tar:
    """What `docker cp SOURCE -` writes."""
    done = subprocess.run(
        ["docker", "cp", source, "-"], env=docker.environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def content(archive: Tar, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()


def archive(**files: bytes) -> bytes:
    """A tar of these files, owned by 33:44."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size, info.uid, info.gid, info.mode, info.mtime = len(data), 33, 44, 0o640, 981173106
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def full(docker: Docker, image: str, name: str) -> str:
    """A container that runs and has files of every kind in /d, which /to-d leads to."""
    script = """
        mkdir -p /d/sub/empty && echo one >/d/one && echo two >/d/sub/two && ln /d/one /d/hard && ln -s one /d/soft
        ln -s /nowhere/at/all /d/dangling && ln -s /d /to-d && mkfifo /d/pipe && chown 7:8 /d/one && chmod 4751 /d/one
        touch -d "2001-02-03 04:05:06" /d/one /d/sub && echo ready && sleep 600
    """
    docker.ok("run", "-d", "--name", name, image, "sh", "-c", script)
    docker.await_logs(name, "ready")
    return name


# --- out -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused", "exited"])
def test_every_kind_of_file_comes_out_as_it_is(docker: Docker, full: str, state: str) -> None:
    if state == "paused":
        docker.ok("pause", full)
    elif state == "exited":
        docker.ok("kill", full)
    with taken(docker, f"{full}:/d") as tar:
        assert [each.name for each in tar] == [
            *("d", "d/dangling", "d/hard", "d/one", "d/pipe", "d/soft", "d/sub", "d/sub/empty", "d/sub/two")
        ]
        hard, one = tar.getmember("d/hard"), tar.getmember("d/one")
        assert (hard.uid, hard.gid, hard.mode & 0o7777, hard.mtime) == (7, 8, 0o4751, 981173106)
        assert one.islnk() and one.linkname == "d/hard"
        assert tar.getmember("d/soft").linkname == "one" and tar.getmember("d/dangling").linkname == "/nowhere/at/all"
        assert tar.getmember("d/pipe").isfifo() and tar.getmember("d/sub").mtime == 981173106
        assert content(tar, "d/sub/two") == b"two\n"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/d/sub", ["sub", "sub/empty", "sub/two"]),
        ("/d/sub/", ["sub", "sub/empty", "sub/two"]),
        ("/d/sub/.", [".", "./empty", "./two"]),
        ("d/sub", ["sub", "sub/empty", "sub/two"]),
        ("/d/one/../sub/two", ["two"]),
        ("/../../d/sub/two", ["two"]),
        ("/to-d", ["to-d"]),
        ("/to-d/sub", ["sub", "sub/empty", "sub/two"]),
        ("/d/soft", ["soft"]),
        ("/d/pipe", ["pipe"]),
    ],
)
def test_what_an_archive_calls_its_entries(docker: Docker, full: str, path: str, names: list[str]) -> None:
    with taken(docker, f"{full}:{path}") as tar:
        assert [each.name for each in tar] == names


def test_a_link_with_a_slash_is_what_it_leads_to(docker: Docker, full: str) -> None:
    with taken(docker, f"{full}:/to-d/") as tar:
        assert {"to-d", "to-d/sub/two"} <= set(tar.getnames())


def test_the_root_comes_whole(docker: Docker, full: str) -> None:
    with taken(docker, f"{full}:/") as tar:
        names = {name.lstrip("/") for name in tar.getnames()}
    assert {"d/sub/two", "bin/busybox", "etc/hosts"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/"))]


def test_a_file_comes_out_under_another_name(docker: Docker, full: str, tmp_path: Path) -> None:
    docker.ok("cp", f"{full}:/d/one", str(tmp_path / "other"))
    assert (tmp_path / "other").read_text() == "one\n"
    docker.ok("cp", f"{full}:/d/sub", str(tmp_path / "new"))
    assert (tmp_path / "new" / "two").read_text() == "two\n"
    docker.ok("cp", f"{full}:/d/sub/.", str(tmp_path))
    assert (tmp_path / "two").exists() and (tmp_path / "empty").is_dir()


def test_a_link_is_followed_when_asked(docker: Docker, full: str, tmp_path: Path) -> None:
    docker.ok("cp", f"{full}:/d/soft", str(tmp_path / "kept"))
    docker.ok("cp", "-L", f"{full}:/d/soft", str(tmp_path / "followed"))
    assert os.readlink(tmp_path / "kept") == "one"
    assert (tmp_path / "followed").read_text() == "one\n" and not (tmp_path / "followed").is_symlink()


@pytest.mark.parametrize("path", ["/none", "/none/deeper", "/to-d/none", "/d/dangling/"])
def test_what_isnt_there_is_said(docker: Docker, full: str, path: str) -> None:
    told = docker("cp", f"{full}:{path}", "-")
    assert told.code == 1 and f"Could not find the file {path} in container {full}" in told.err


def test_a_file_is_no_directory(docker: Docker, full: str) -> None:
    told = docker("cp", f"{full}:/d/one/", "-")
    assert told.code == 1 and "not a directory" in told.err


def test_a_path_is_described(api: Api, docker: Docker, full: str) -> None:
    def described(path: str) -> dict[str, object]:
        answer = api.request("HEAD", f"/containers/{full}/archive?path={path}")
        assert answer.status == 200
        headers = {key.lower(): value for key, value in dict(answer.headers).items()}
        found: dict[str, object] = json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
        return found

    one = described("/d/one")
    assert (one["name"], one["size"], one["linkTarget"]) == ("one", 4, "")
    assert one["mode"] == 1 << 23 | 0o751 and str(one["mtime"]).startswith("2001-02-03T04:05:06")
    assert described("/d/")["mode"] == 1 << 31 | 0o755 and described("/d/")["name"] == "d"
    assert described("/d/soft")["linkTarget"] == "/d/one" and described("/d/soft")["mode"] == 1 << 27 | 0o777
    assert described("/d/dangling")["linkTarget"] == "/nowhere/at/all"
    assert described("/")["name"] == "/"
    assert api.request("HEAD", f"/containers/{full}/archive?path=/none").status == 404
    assert api.request("HEAD", f"/containers/{full}/archive").status == 400


def test_large_files_and_holes_come_out_at_the_byte(docker: Docker, image: str, name: str) -> None:
    script = "yes 0123456789 | head -c 30000001 >/big; dd if=/dev/zero of=/holes bs=1 count=0 seek=40000000; sleep 600"
    docker.ok("run", "-d", "--name", name, image, "sh", "-c", script)
    until(lambda: docker("exec", name, "test", "-s", "/holes").code == 0)
    with taken(docker, f"{name}:/big") as tar:
        assert content(tar, "big") == (b"0123456789\n" * 3000000)[:30000001]
    with taken(docker, f"{name}:/holes") as tar:
        assert content(tar, "holes") == bytes(40000000)


# --- in --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory `tree` with a file, a link and a directory in it."""
    (tmp_path / "tree" / "in").mkdir(parents=True)
    (tmp_path / "tree" / "file").write_text("file\n")
    (tmp_path / "tree" / "in" / "deep").write_text("deep\n")
    (tmp_path / "tree" / "link").symlink_to("file")
    return tmp_path / "tree"


def test_a_directory_goes_into_one_that_is_there(docker: Docker, sleeping: str, tree: Path) -> None:
    docker.ok("cp", str(tree), f"{sleeping}:/tmp")
    assert docker.ok("exec", sleeping, "cat", "/tmp/tree/link", "/tmp/tree/in/deep") == "file\ndeep"


def test_a_directory_becomes_one_that_isnt_there(docker: Docker, sleeping: str, tree: Path) -> None:
    docker.ok("cp", str(tree), f"{sleeping}:/fresh")
    docker.ok("cp", f"{tree}/.", f"{sleeping}:/tmp")
    assert docker.ok("exec", sleeping, "cat", "/fresh/in/deep", "/tmp/in/deep") == "deep\ndeep"


def test_a_file_goes_where_a_link_leads(docker: Docker, full: str, tree: Path) -> None:
    docker.ok("cp", str(tree / "file"), f"{full}:/to-d")
    docker.ok("cp", str(tree / "file"), f"{full}:/d/soft")
    assert docker.ok("exec", full, "cat", "/d/file", "/d/one") == "file\nfile"


@pytest.mark.parametrize("place", ["/none/file", "/none/", "/d/one/", "/none/deeper/"])
def test_a_missing_parent_is_said(docker: Docker, full: str, tree: Path, place: str) -> None:
    told = docker("cp", str(tree / "file"), f"{full}:{place}")
    assert told.code == 1 and ("Could not find the file" in told.err or "no such directory" in told.err)


def test_a_directory_and_a_file_dont_replace_each_other(docker: Docker, full: str, tree: Path) -> None:
    told = docker("cp", str(tree), f"{full}:/d/one")
    assert told.code == 1 and "cannot copy directory" in told.err
    (tree / "sub").write_text("a file")
    told = docker("cp", f"{tree}/.", f"{full}:/d")
    assert told.code == 1 and 'cannot overwrite directory "/d/sub" with non-directory "/d"' in told.err
    (tree / "sub").unlink()
    (tree / "one").mkdir()
    told = docker("cp", f"{tree}/.", f"{full}:/d")
    assert told.code == 1 and 'cannot overwrite non-directory "/d/one" with directory "/d"' in told.err


def put(api: Api, container: str, path: str, body: bytes) -> Answer:
    """`PUT …/archive`."""
    where = f"/containers/{container}/archive?path={path}"
    return api.request("PUT", where, body, headers={"Content-Type": "application/x-tar"})


def test_without_the_wish_kinds_are_replaced(docker: Docker, api: Api, full: str) -> None:
    assert put(api, full, "/d", archive(sub=b"now a file")).status == 200
    assert docker.ok("exec", full, "cat", "/d/sub") == "now a file"


def test_an_archive_from_standard_input_keeps_owners_modes_and_times(docker: Docker, sleeping: str) -> None:
    docker.ok("cp", "-", f"{sleeping}:/tmp", input=archive(a=b"A", deep__er__b=b"B"))
    assert docker.ok("exec", sleeping, "stat", "-c", "%u:%g %a %Y", "/tmp/a", "/tmp/deep/er/b") == (
        "33:44 640 981173106\n33:44 640 981173106"
    )
    with taken(docker, f"{sleeping}:/tmp/a") as tar:
        assert content(tar, "a") == b"A"


def test_compressed_archives_are_taken(docker: Docker, api: Api, sleeping: str) -> None:
    assert put(api, sleeping, "/tmp", gzip.compress(archive(zipped=b"Z"))).status == 200
    assert docker.ok("exec", sleeping, "cat", "/tmp/zipped") == "Z"


def test_an_empty_archive_changes_nothing(docker: Docker, api: Api, sleeping: str) -> None:
    assert put(api, sleeping, "/tmp", b"").status == 200


def test_what_is_no_archive_is_refused(docker: Docker, api: Api, sleeping: str) -> None:
    assert put(api, sleeping, "/tmp", b"this is no archive" * 100).status in (400, 500)
    assert put(api, sleeping, "/tmp", archive(a=bytes(5000))[:1000]).status in (400, 500)


def test_a_file_is_no_place_to_extract_to(docker: Docker, api: Api, full: str) -> None:
    told = put(api, full, "/d/one", archive(a=b"A"))
    assert told.status in (400, 500) and "extraction point is not a directory" in told.message
    assert put(api, full, "/none", archive(a=b"A")).status == 404
    assert put(api, "no-such-container", "/", archive(a=b"A")).status == 404


def test_an_archive_may_not_lead_out(docker: Docker, api: Api, sleeping: str) -> None:
    told = put(api, sleeping, "/tmp", archive(**{"..__out": b"x"}))
    assert told.status in (400, 500) and '"../out" is outside of "/tmp"' in told.message
    assert docker("exec", sleeping, "test", "-e", "/out").code == 1


def test_owners_can_be_made_the_containers_user(docker: Docker, image: str, name: str) -> None:
    docker.ok("run", "-d", "--name", name, "-u", "nobody", image, "sleep", "600")
    docker.ok("cp", "-", f"{name}:/tmp", input=archive(kept=b""))
    docker.ok("cp", "-a", "-", f"{name}:/tmp", input=archive(given=b""))
    assert docker.ok("exec", name, "stat", "-c", "%u:%g", "/tmp/kept", "/tmp/given") == "33:44\n65534:65534"


# --- what is mounted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_volumes_and_binds_are_seen(docker: Docker, image: str, name: str, tmp_path: Path, *, running: bool) -> None:
    (tmp_path / "own").write_text("bound\n")
    options = ("--name", name, "-v", f"{name}:/vol", "-v", f"{tmp_path}:/mnt/bind:ro", image, "sleep", "600")
    docker.ok(*(("run", "-d") if running else ("create",)), *options)
    docker.ok("cp", "-", f"{name}:/vol", input=archive(a=b"A"))
    assert docker.shell(image, "cat /v/a", "-v", f"{name}:/v") == "A"
    with taken(docker, f"{name}:/mnt/bind/own") as tar:
        assert content(tar, "own") == b"bound\n"
    with taken(docker, f"{name}:/vol") as tar:
        assert tar.getnames() == ["vol", "vol/a"]
    told = docker("cp", "-", f"{name}:/mnt/bind", input=archive(a=b"A"))
    assert told.code == 1 and "mounted volume is marked read-only" in told.err
    assert [each.name for each in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("running", [True, False])
def test_a_read_only_root_is_kept(docker: Docker, image: str, name: str, *, running: bool) -> None:
    start = ("run", "-d") if running else ("create",)
    docker.ok(*start, "--name", name, "--read-only", "-v", "/vol", image, "sleep", "600")
    told = docker("cp", "-", f"{name}:/etc", input=archive(a=b"A"))
    assert told.code == 1 and "container rootfs is marked read-only" in told.err
    docker.ok("cp", "-", f"{name}:/vol", input=archive(a=b"A"))
    with taken(docker, f"{name}:/vol/a") as tar:
        assert content(tar, "a") == b"A"


@seaway_only("dockerd looks at the layers alone, not at what the container has mounted")
def test_a_tmpfs_is_seen_while_it_is_there(docker: Docker, image: str, name: str) -> None:
    docker.ok("run", "-d", "--name", name, "--tmpfs", "/t", image, "sh", "-c", "echo in >/t/file; sleep 600")
    until(lambda: docker("exec", name, "test", "-s", "/t/file").code == 0)
    with taken(docker, f"{name}:/t") as tar:
        assert content(tar, "t/file") == b"in\n"
    docker.ok("cp", "-", f"{name}:/t", input=archive(a=b"A"))
    assert docker.ok("exec", name, "cat", "/t/a") == "A"


@seaway_only("dockerd looks at the layers alone, not at what the container has mounted")
def test_a_full_file_system_is_said(docker: Docker, image: str, name: str) -> None:
    docker.ok("run", "-d", "--name", name, "--tmpfs", "/t:size=1m", image, "sleep", "600")
    told = docker("cp", "-", f"{name}:/t", input=archive(big=bytes(3 << 20)))
    assert told.code == 1 and "no space left on device" in told.err.lower()
    assert docker.ok("exec", name, "echo", "goes on") == "goes on"


def test_what_was_put_into_a_container_that_never_ran_is_there_when_it_does(
    docker: Docker, image: str, name: str
) -> None:
    docker.ok("create", "--name", name, image, "cat", "/etc/put")
    docker.ok("cp", "-", f"{name}:/etc", input=archive(put=b"put before the start\n"))
    assert docker.ok("start", "-a", name) == "put before the start"
    docker.ok("cp", "-", f"{name}:/etc", input=archive(put=b"put after the end\n"))
    assert docker.ok("start", "-a", name) == "put after the end"


# --- hostile containers ----------------------------------------------------------------------------------------------


def test_no_link_leads_out_of_the_root(docker: Docker, image: str, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host\n")
    up = "/.." * 30
    script = f"mkdir -p {tmp_path} && ln -s {tmp_path} /abs && ln -s {up}{tmp_path} /rel && ln -s / /self && sleep 600"
    docker.ok("run", "-d", "--name", name, image, "sh", "-c", script)
    until(lambda: docker("exec", name, "test", "-L", "/self").code == 0)
    for link in ("/abs", "/rel", "/self/self/self/rel"):
        told = docker("cp", f"{name}:{link}/secret", "-")
        assert told.code == 1 and "Could not find the file" in told.err
        docker.ok("cp", "-", f"{name}:{link}", input=archive(made=b"in the container"))
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]
    assert docker.ok("exec", name, "cat", f"{tmp_path}/made") == "in the container"


def test_a_link_that_changes_all_the_time_leads_nowhere_else(
    docker: Docker, image: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the host\n")
    script = f"""
        mkdir -p /box/real/x {tmp_path}; echo inside >/box/real/secret; echo inside >{tmp_path}/secret
        while :; do
            mv /box/real /box/kept; ln -s {"/.." * 20}{tmp_path} /box/real; sleep 0.01; rm /box/real
            mv /box/kept /box/real; sleep 0.01
        done
    """
    docker.ok("run", "-d", "--name", name, image, "sh", "-c", script)
    until(lambda: docker("exec", name, "test", "-s", f"{tmp_path}/secret").code == 0)
    seen = set()
    for _ in range(10):
        done = subprocess.run(
            ["docker", "cp", f"{name}:/box/real/secret", "-"], env=docker.environment, capture_output=True, timeout=60
        )
        seen.add(b"of the host" in done.stdout)
        docker("cp", "-", f"{name}:/box", input=archive(real__made=b"x"))
    assert seen == {False}
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


# --- around it -------------------------------------------------------------------------------------------------------


def test_what_happens_is_told(docker: Docker, full: str) -> None:
    since = time.time()
    taken(docker, f"{full}:/d/one").close()
    docker.ok("cp", "-", f"{full}:/tmp", input=archive(a=b"A"))
    actions = [each["Action"] for each in docker.happened(since, f"container={full}")]
    assert actions == ["archive-path", "extract-to-dir"]


def test_a_client_that_goes_away_leaves_nothing(docker: Docker, image: str, name: str) -> None:
    docker.ok("create", "--name", name, image, "true")
    with docker.start("cp", "-", f"{name}:/tmp") as putting:
        assert putting.stdin
        putting.stdin.write(archive(big=bytes(1 << 20)))
        putting.stdin.flush()
        putting.kill()
        putting.wait()
    docker.ok("start", "-a", name)
