"""The supervisor is killed between any two of its durable writes, and right after each answer.

Afterwards what was answered is so, what wasn't can be asked again, and the record says what the kernel says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from integration.supervisor.conftest import Engine
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import Conflict, Error, NotFound, NotModified, Unavailable
from seaway_protocol.types import Container, ContainerSpec, Mount, NetworkSpec, ProcessSpec, Resources
from support.bus import eventually

SLEEPER = ("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done")


@dataclass(frozen=True)
class Verb:
    """What is asked about the container `it`, how it is brought there, and what is true afterwards.

    `done` are the errors by which a second request is told that the first one has been heard.
    """

    name: str
    before: str
    ask: Callable[[Engine], Awaitable[object]]
    after: Callable[[Container | None], bool]
    done: tuple[type[Error], ...] = ()


def _spec(engine: Engine) -> ContainerSpec:
    image = f"{engine.registry}/busybox:1"
    return ContainerSpec(image=image, process=ProcessSpec(args=SLEEPER), network=NetworkSpec(mode="none"))


def _status(*wanted: str) -> Callable[[Container | None], bool]:
    return lambda container: (container.state.status if container else "gone") in wanted


def _stopped(container: Container | None) -> bool:
    return bool(container and container.state.status == "exited" and container.state.manually_stopped)


VERBS = (
    Verb(
        "create",
        "nothing",
        lambda engine: engine.ask(wire.create, wire.Create(spec=_spec(engine), name="it")),
        _status("created"),
        (Conflict,),
    ),
    Verb(
        "start",
        "created",
        lambda engine: engine.ask(wire.start, wire.Reference(container="it")),
        _status("running"),
        (NotModified,),
    ),
    Verb("stop", "running", lambda engine: engine.ask(wire.stop, wire.Stop(container="it")), _stopped, (NotModified,)),
    Verb("kill", "running", lambda engine: engine.ask(wire.kill, wire.Kill(container="it")), _stopped, (Conflict,)),
    Verb("restart", "running", lambda engine: engine.ask(wire.restart, wire.Stop(container="it")), _status("running")),
    Verb(
        "pause",
        "running",
        lambda engine: engine.ask(wire.pause, wire.Reference(container="it")),
        _status("paused"),
        (Conflict,),
    ),
    Verb(
        "unpause",
        "paused",
        lambda engine: engine.ask(wire.unpause, wire.Reference(container="it")),
        _status("running"),
        (Conflict,),
    ),
    Verb(
        "rename",
        "created",
        lambda engine: engine.ask(wire.rename, wire.Rename(container="it", name="that")),
        _status("gone"),
        (NotFound,),
    ),
    Verb(
        "update",
        "running",
        lambda engine: engine.ask(wire.update, wire.Update(container="it", resources=Resources(memory=64 << 20))),
        lambda container: bool(container and container.spec.resources.memory == 64 << 20),
    ),
    Verb(
        "exec",
        "running",
        lambda engine: engine.ask(
            wire.exec_create, wire.ExecCreate(container="it", process=ProcessSpec(args=("true",)))
        ),
        _status("running"),
    ),
    Verb(
        "remove",
        "created",
        lambda engine: engine.ask(wire.remove, wire.Remove(container="it")),
        _status("gone"),
        (NotFound,),
    ),
    Verb(
        "remove a running",
        "running",
        lambda engine: engine.ask(wire.remove, wire.Remove(container="it", force=True)),
        _status("gone"),
        (NotFound,),
    ),
)


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name.replace(" ", "-") for verb in VERBS])
async def test_killed_between_any_two_durable_writes(engine: Engine, verb: Verb) -> None:
    for orders in ("before 1", *(f"after {number}" for number in range(1, 20))):
        await _prepare(engine, verb.before)
        if not await engine.killed_at(orders, lambda: verb.ask(engine)):
            break
        engine.start("supervisor")
        await _is_true(engine)
        with contextlib.suppress(*verb.done):
            await verb.ask(engine)
        found = await _find(engine)
        assert verb.after(found), f"killed {orders}: {found and found.state}"
        await _is_true(engine)
        await _events_are_in_order(engine)
    else:
        raise AssertionError("a verb that writes nineteen times")
    await _answered_is_so(engine, verb)
    await _prepare(engine, "nothing")


async def _answered_is_so(engine: Engine, verb: Verb) -> None:
    """Killed right after the answer."""
    if not verb.after(await _find(engine)):
        await _prepare(engine, verb.before)
        await verb.ask(engine)
    engine.kill("supervisor")
    engine.start("supervisor")
    found = await _find(engine)
    assert verb.after(found), f"killed after the answer: {found and found.state}"
    await _is_true(engine)


async def _prepare(engine: Engine, state: str) -> None:
    engine.kill_orders.unlink(missing_ok=True)
    for name in ("it", "that"):
        with contextlib.suppress(NotFound):
            await engine.ask(wire.remove, wire.Remove(container=name, force=True))
    if state == "nothing":
        return
    await engine.ask(wire.create, wire.Create(spec=_spec(engine), name="it"))
    if state in ("running", "paused"):
        await engine.ask(wire.start, wire.Reference(container="it"))
    if state == "paused":
        await engine.ask(wire.pause, wire.Reference(container="it"))


async def _find(engine: Engine) -> Container | None:
    try:
        return await engine.inspect("it")
    except NotFound:
        return None


async def _is_true(engine: Engine) -> None:
    """The record says what the kernel says, once what was under way has come to its end."""
    async with asyncio.timeout(20):
        while await _untrue(engine):
            await asyncio.sleep(0.05)


async def _untrue(engine: Engine) -> list[Container]:
    """The containers that are otherwise than they are said to be."""
    containers = (await engine.ask(wire.list_, wire.ListContainers())).containers
    return [container for container in containers if not _as_said(engine, container)]


def _as_said(engine: Engine, container: Container) -> bool:
    members = _members(engine, container.id)
    if container.state.status not in ("running", "paused"):
        return not members
    freezer = Path(f"/sys/fs/cgroup/freezer/{engine.cgroup}/{container.id}/freezer.state")
    frozen = freezer.exists() and freezer.read_text().strip() == "FROZEN"
    return container.state.pid in members and frozen == (container.state.status == "paused")


def _members(engine: Engine, id: str) -> list[int]:
    try:
        return [
            int(line) for line in Path(f"/sys/fs/cgroup/pids/{engine.cgroup}/{id}/cgroup.procs").read_text().split()
        ]
    except FileNotFoundError:
        return []


async def _events_are_in_order(engine: Engine) -> None:
    """Each container's starts and ends alternate: none is told twice, none is left out."""
    for container in (await engine.ask(wire.list_, wire.ListContainers())).containers:
        async with asyncio.timeout(10):
            while not _alternate(await engine.happened(container.id), container):
                await asyncio.sleep(0.05)


def _alternate(names: list[str], container: Container) -> bool:
    course = [name.removeprefix("container.") for name in names if name in ("container.started", "container.exited")]
    wanted = ["started", "exited"] * len(course)
    assert course == wanted[: len(course)], names
    assert names.count("container.created") <= 1, names
    return bool(course and course[-1] == "started") == (container.state.status in ("running", "paused"))


async def test_a_removal_goes_on_after_any_step(engine: Engine) -> None:
    for step in ("leave", "retire", "release", "volumes", "files"):
        await _removed_in_spite_of(engine, step)


async def _removed_in_spite_of(engine: Engine, step: str) -> None:
    volume = (Mount(type="volume", target="/data"),)
    id = await engine.run("sleep", "100", network=NetworkSpec(mode="bridge"), mounts=volume, stop_timeout=0)
    await engine.ask(wire.stop, wire.Stop(container=id))
    engine.order_death(f"step {step} 1")
    asked = asyncio.ensure_future(engine.ask(wire.remove, wire.Remove(container=id, volumes=True)))
    await eventually(lambda: engine.died("supervisor"))
    asked.cancel()
    engine.start("supervisor")
    with contextlib.suppress(NotFound):
        await engine.ask(wire.remove, wire.Remove(container=id, volumes=True))
    await eventually(lambda: not (engine.state_dir / "containers" / id).exists())
    await eventually(lambda: not list((engine.run_dir / "netns").iterdir()))
    assert [each.name for each in (engine.state_dir / "volumes").iterdir()] == [".trash"]
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{engine.cgroup}/{id}"))
    async with asyncio.timeout(10):
        while (names := await engine.happened(id))[-1:] != ["container.removed"]:
            await asyncio.sleep(0.05)
    assert names.count("container.removed") == 1


async def test_a_volume_is_whole_or_not_there(engine: Engine) -> None:
    create = wire.CreateVolume(name="data")
    remove = wire.VolumeReference(name="data")
    for call, request, there in ((wire.volume_create, create, True), (wire.volume_remove, remove, False)):
        for orders in ("before 1", "after 1"):
            engine.order_death(orders)
            asked = asyncio.ensure_future(engine.ask(call, request))
            async with asyncio.timeout(10):
                while not engine.died("supervisor"):
                    await asyncio.sleep(0.02)
            asked.cancel()
            engine.start("supervisor")
            with contextlib.suppress(NotFound):
                await engine.ask(call, request)
            names = [volume.name for volume in (await engine.ask(wire.volume_list, wire.ListVolumes())).volumes]
            assert names == (["data"] if there else [])
            assert (engine.state_dir / "volumes" / "data" / "_data").exists() == there


async def test_what_a_full_disk_refuses_has_not_been_done(engine: Engine) -> None:
    await engine.ask(wire.create, wire.Create(spec=_spec(engine), name="it"))
    before = len(list((engine.state_dir / "containers").iterdir()))
    engine.order_death("refuse")
    spec = msgspec.structs.replace(_spec(engine), mounts=(Mount(type="volume", target="/data"),))
    with pytest.raises(Unavailable, match="disk is full"):
        await engine.ask(wire.create, wire.Create(spec=spec, name="other"))
    with pytest.raises(Unavailable, match="disk is full"):
        await engine.ask(wire.rename, wire.Rename(container="it", name="that"))
    with pytest.raises(Unavailable, match="disk is full"):
        await engine.ask(wire.start, wire.Reference(container="it"))
    engine.kill_orders.unlink()
    found = await engine.inspect("it")
    assert found.state.status == "created"
    await _is_true(engine)
    await engine.ask(wire.rename, wire.Rename(container="it", name="that"))
    await engine.ask(wire.create, wire.Create(spec=spec, name="other"))
    assert len(list((engine.state_dir / "containers").iterdir())) == before + 1
    await engine.ask(wire.start, wire.Reference(container="that"))
    engine.kill("supervisor")
    engine.start("supervisor")
    assert (await engine.inspect("that")).state.status == "running"
    await _events_are_in_order(engine)


async def test_killed_right_after_a_start_was_answered(engine: Engine) -> None:
    for _ in range(5):
        id = await engine.run("sleep", "100")
        engine.kill("supervisor", how=signal.SIGKILL)
        engine.start("supervisor")
        container = await engine.inspect(id)
        assert container.state.status == "running"
        os.kill(container.state.pid, 0)
