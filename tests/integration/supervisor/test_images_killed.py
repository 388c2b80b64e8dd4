"""The supervisor is killed while images come and go: nothing half made is left, and each verb can be asked again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from integration.supervisor.conftest import Engine
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import NotFound


def furnished(engine: Engine) -> str:
    return f"{engine.registry}/furnished:1"


async def pull(engine: Engine) -> None:
    await engine.ask(wire.pull, wire.Pull(reference=furnished(engine)), seconds=60)


async def remove(engine: Engine) -> None:
    with contextlib.suppress(NotFound):
        await engine.ask(wire.image_remove, wire.RemoveImage(image=furnished(engine)))


async def load(engine: Engine, archive: bytes) -> None:
    flow = engine.bus.new_flow()
    loading = asyncio.ensure_future(engine.ask(wire.image_load, wire.Load(flow=flow), seconds=60))

    async def send() -> None:
        async with engine.bus.sender(wire.load_flow, flow) as sender:
            await sender.write(archive)

    sending = asyncio.ensure_future(send())
    try:
        await loading
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def saved(engine: Engine) -> bytes:
    flow = engine.bus.new_flow()
    async with engine.bus.receiver(wire.save_flow, flow) as archive:
        await engine.ask(wire.image_save, wire.Save(images=(furnished(engine),), flow=flow))
        return b"".join([data async for _, data in archive])


async def there(engine: Engine) -> bool:
    """Whether the image is there; then it is whole."""
    try:
        await engine.ask(wire.image_inspect, wire.ImageReference(image=furnished(engine)))
    except NotFound:
        return False
    return True


async def is_sound(engine: Engine) -> None:
    """Nothing is missing, wrong or left behind, once what is cleared up behind is."""
    async with asyncio.timeout(20):
        while found := (await engine.ask(wire.check, wire.Check(deep=True), seconds=60)).findings:
            assert all("is gone" not in each.what and "isn't what" not in each.what for each in found), found
    if await there(engine):
        id = await engine.create("true", image="furnished")
        await engine.ask(wire.start, wire.Reference(container=id))
        await engine.exited(id)
        await engine.ask(wire.remove, wire.Remove(container=id))


async def killed_at(engine: Engine, orders: str, ask: Callable[[], Awaitable[None]]) -> bool:
    """Ask; whether the supervisor came as far as to be killed. Then it is started again."""
    killed = await engine.killed_at(orders, ask)
    if killed:
        engine.start("supervisor")
    return killed


async def killed_at_each(engine: Engine, steps: tuple[str, ...], ask: Callable[[], Awaitable[None]]) -> None:
    """Bring the image, killed after each of these steps, the first and the second time it is taken."""
    for step in steps:
        for number in (1, 2):
            await remove(engine)
            if not await killed_at(engine, f"step {step} {number}", ask):
                assert number > 1, f"{step} was never taken"
                break
            await is_sound(engine)
            await ask()
            assert await there(engine)
            await is_sound(engine)


async def test_a_pull_killed_after_any_step_leaves_nothing_half_made(engine: Engine) -> None:
    await killed_at_each(engine, ("blob", "document", "sync", "layer", "index"), lambda: pull(engine))


async def test_a_load_killed_after_any_step_leaves_nothing_half_made(engine: Engine) -> None:
    await pull(engine)
    archive = await saved(engine)
    await killed_at_each(engine, ("document", "layer", "index"), lambda: load(engine, archive))


async def test_a_removal_of_an_image_killed_after_any_step_can_be_repeated(engine: Engine) -> None:
    for number in range(1, 10):
        await pull(engine)
        if not await killed_at(engine, f"step index {number}", lambda: remove(engine)):
            assert number > 1, "the step was never taken"
            break
        await is_sound(engine)
        await remove(engine)
        assert not await there(engine)
        await is_sound(engine)
