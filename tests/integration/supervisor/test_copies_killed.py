"""The supervisor is killed while files are copied: the client is told, and no process and no mount is left."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest
from integration.supervisor.conftest import Engine
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import Unavailable
from support.bus import eventually


def copiers(engine: Engine) -> list[str]:
    """The copying processes of this engine, and the mount namespaces with something of it mounted for them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = process.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if b"seaway_supervisor.copying" in words and str(engine.state_dir).encode() in words:
            found.append(process.name)
    return found


def mounted(engine: Engine) -> list[str]:
    """What is mounted in the containers' directories, seen from the host."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f"{engine.state_dir}/containers" in line]


async def test_a_reader_learns_of_it(engine: Engine) -> None:
    id = await engine.run("sleep", "1000")
    flow = engine.bus.new_flow()
    async with engine.bus.receiver(wire.export_flow, flow, window=4096) as output:
        await engine.ask(wire.export, wire.Export(container=id, flow=flow))
        assert await output.read()
        assert len(copiers(engine)) == 1 and not mounted(engine)
        engine.kill("supervisor")
        await eventually(lambda: not copiers(engine), 60)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(60):
                while await output.read():
                    pass
    engine.start("supervisor")
    assert (await engine.ask(wire.inspect, wire.Reference(container=id))).state.status == "running"


async def test_a_writer_learns_of_it_and_the_container_can_be_started(engine: Engine) -> None:
    id = await engine.create("true")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("half")
        info.size = 1 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    flow = engine.bus.new_flow()
    async with engine.bus.sender(wire.copy_in_flow, flow) as sender:
        asked = asyncio.ensure_future(engine.ask(wire.copy_in, wire.CopyIn(container=id, path="/", flow=flow)))
        await sender.write(archive.getvalue()[: 1 << 19])
        half = engine.state_dir / "containers" / id / "upper" / "half"
        await eventually(lambda: half.exists() and half.stat().st_size > 0, 60)
        assert len(copiers(engine)) == 1 and not mounted(engine)
        engine.kill("supervisor")
        await eventually(lambda: not copiers(engine), 60)
        engine.start("supervisor")
        with pytest.raises(Unavailable, match="send it again"):
            await asked
        await sender.abort()
    await engine.ask(wire.start, wire.Reference(container=id))
    await engine.exited(id, 60)


async def test_a_start_waits_for_what_is_copied_in(engine: Engine) -> None:
    id = await engine.create("true")
    flow = engine.bus.new_flow()
    async with engine.bus.sender(wire.copy_in_flow, flow) as sender:
        asked = asyncio.ensure_future(engine.ask(wire.copy_in, wire.CopyIn(container=id, path="/", flow=flow)))
        await eventually(lambda: bool(copiers(engine)), 60)
        starting = asyncio.ensure_future(engine.ask(wire.start, wire.Reference(container=id)))
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("put"))
        assert (await engine.ask(wire.inspect, wire.Reference(container=id))).state.status == "created"
        await sender.write(archive.getvalue())
    await asked
    await starting
    await engine.exited(id, 60)
