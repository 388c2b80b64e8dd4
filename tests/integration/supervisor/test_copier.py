"""The copying process alone, on layers made here: what hostile or unusual files make of it."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import shutil
import signal
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from seaway_protocol.errors import Unavailable
from seaway_supervisor import copier
from seaway_supervisor.copier import Copier


@pytest.fixture
def container() -> Iterator[Path]:
    """A container's directory, on a file system that overlayfs takes."""
    directory = Path("/var/tmp") / f"seaway-copier-{secrets.token_hex(4)}"
    for part in ("upper", "work", "rootfs", "layer"):
        (directory / part).mkdir(parents=True)
    yield directory
    shutil.rmtree(directory)


def order(do: str, container: Path, **more: Any) -> dict[str, Any]:
    view = {
        "id": container.name,
        "pid": 0,
        "lower": [str(container / "layer")],
        "upper": str(container / "upper"),
        "work": str(container / "work"),
        "place": str(container / "rootfs"),
        "read_only": False,
        "attached": [],
        "write": do == "copy_in",
    }
    return {"do": do, "name": "it", "path": "/", "keep_kinds": False, "owner": None, **more, "view": view}


async def out(container: Path, path: str = "/.") -> tarfile.TarFile:
    async with Copier(order("copy_out", container, path=path)) as copying:
        await copying.answer()
        return tarfile.open(fileobj=io.BytesIO(b"".join([each async for each in copying.pieces()])))


async def put(container: Path, archive: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield archive

    async with Copier(order("copy_in", container)) as copying:
        await copying.extracted(pieces())


async def test_capabilities_attributes_links_and_devices_go_out_and_in(container: Path) -> None:
    layer = container / "layer"
    (layer / "able").write_bytes(b"program")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(layer / "able", "security.capability", capability)
    os.setxattr(layer / "able", "user.note", b"\xff\x00raw")
    os.link(layer / "able", layer / "again")
    os.mknod(layer / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mkfifo(layer / "pipe")
    (layer / "\udcff name").touch()

    async def copied() -> bytes:
        async with Copier(order("copy_out", container, path="/.")) as copying:
            await copying.answer()
            return b"".join([each async for each in copying.pieces()])

    archive = await copied()
    shutil.rmtree(layer)
    layer.mkdir()
    await put(container, archive)
    upper = container / "upper"
    assert os.getxattr(upper / "able", "security.capability") == capability
    assert os.getxattr(upper / "able", "user.note") == b"\xff\x00raw"
    assert (upper / "able").samefile(upper / "again")
    assert os.minor((upper / "device").stat().st_rdev) == 3 and (upper / "pipe").is_fifo()
    assert (upper / "\udcff name").exists()


async def test_a_tree_deeper_than_a_path_can_say_doesnt_stop_what_is_beside_it(container: Path) -> None:
    at = os.open(container / "layer", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 10, dir_fd=at)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (container / "layer" / "z").touch()
    with await out(container) as tar:
        assert len(tar.getnames()) == 302 and tar.getnames()[-1] == "./z"


async def test_what_doesnt_answer_is_given_up(container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copier, "STALLED", 0.5)
    with (container / "layer" / "big").open("wb") as file:
        file.truncate(1 << 30)
    async with Copier(order("copy_out", container, path="/big")) as copying:
        os.kill(copying.process, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="a file system has not answered"):
            await copying.answer()
            async for _ in copying.pieces():
                pass
    assert not Path(f"/proc/{copying.process}").exists()


async def test_a_process_that_is_killed_is_an_error(container: Path) -> None:
    with (container / "layer" / "big").open("wb") as file:
        file.truncate(1 << 30)
    async with Copier(order("copy_out", container, path="/big")) as copying:
        await copying.answer()
        os.kill(copying.process, signal.SIGKILL)
        with pytest.raises(Exception, match="the copying process has died"):
            async for _ in copying.pieces():
                await asyncio.sleep(0)


async def test_who_reads_no_more_ends_it(container: Path) -> None:
    with (container / "layer" / "big").open("wb") as file:
        file.truncate(1 << 30)
    async with Copier(order("copy_out", container, path="/big")) as copying:
        await copying.answer()
        async for _ in copying.pieces():
            break
    assert not Path(f"/proc/{copying.process}").exists()


async def test_reading_changes_nothing_and_mounts_nothing_that_others_see(container: Path) -> None:
    (container / "layer" / "file").touch()
    async with Copier(order("copy_out", container)) as copying:
        await copying.answer()
        assert container.name not in Path("/proc/self/mountinfo").read_text()
        with pytest.raises(OSError, match="Read-only"):
            Path(f"/proc/{copying.process}/root/new").touch()
    assert list((container / "upper").iterdir()) == [] and list((container / "rootfs").iterdir()) == []
