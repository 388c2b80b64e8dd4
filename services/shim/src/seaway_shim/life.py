"""A shim process from its fork to its end: onto the bus, serve, leave."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from pathlib import Path

from seaway_bus import Bus, Patience, Served, connect
from seaway_protocol.errors import Error, Internal, Unavailable
from seaway_protocol.shim import SHIM
from seaway_service import logs as journal

from seaway_shim import __version__, idle, upgrade
from seaway_shim.endpoints import ShimEndpoints
from seaway_shim.lifeline import Cry, Lifeline
from seaway_shim.rundir import Birth, RunDir
from seaway_shim.shim import Shim
from seaway_shim.vault import Vault

log = logging.getLogger("seaway.shim")


_PATIENCE = Patience(probe_every=20.0)
"""A host has hundreds of shims, each of which wakes up and writes to memory for a sign of life."""


def lead(runner: asyncio.Runner, directory: Path, line: int, door: int, safe: int) -> None:
    """Be the shim of this run directory. Returns when the container's life is over and told.

    `line` is our end of the lifeline; `door` and `safe` are the vault's.
    """
    run_dir = RunDir(directory)
    lock = run_dir.take_lock()
    if lock is None:
        return  # somebody was faster; the nursery looks again
    upgrade.BEGUN = time.time_ns()
    baton = upgrade.Baton(directory=os.fspath(directory), line=line, door=door, safe=safe, lock=lock)
    runner.run(lead_on(run_dir, Lifeline(line), Vault.of(door, safe), baton))


def resume(note: int) -> int:
    """Be the shim that was another version until now; returns the exit code."""
    journal.configure("warning", "", "seaway-shim")
    baton = upgrade.take(note)
    with asyncio.Runner(loop_factory=functools.partial(idle.loop, None)) as runner:
        vault = Vault.of(baton.door, baton.safe)
        runner.run(lead_on(RunDir(Path(baton.directory)), Lifeline(baton.line), vault, baton, orphan=True))
    return 0


async def lead_on(
    run_dir: RunDir, lifeline: Lifeline, vault: Vault, baton: upgrade.Baton, *, orphan: bool = False
) -> None:
    """The same in a running loop; the lock is the caller's. `orphan` says that nobody asked for us."""
    try:
        birth = run_dir.birth()
        journal.always |= {"container": birth.spawn.id, "name": birth.spawn.name}
        orphan = orphan or birth.orphan
        bus = await _connect(birth, run_dir, orphan)
        run_dir.keep_vault(*vault.descriptors)
        shim = Shim(bus, run_dir, birth, vault, baton)
        await shim.inherit(orphan)
        serving = asyncio.create_task(_serve(bus, shim, patient=orphan), name="serve")
        if bus.connected or not orphan:
            await serving
    except Exception as error:
        failure = (
            error if isinstance(error, Error) else Internal(f"cannot begin the shim of {run_dir.id[:12]}: {error}")
        )
        lifeline.cry(Cry(code=failure.code, text=failure.text))
        raise
    run_dir.pid_file.write_text(str(os.getpid()))
    lifeline.cry(Cry(pid=os.getpid()))
    await shim.left.wait()
    await _leave(run_dir, bus, await serving, shim)


async def _connect(birth: Birth, run_dir: RunDir, orphan: bool) -> Bus:
    """The bus. A shim that is needed without it begins without it, too."""
    id, wait = birth.spawn.id, 0.0 if orphan else 5.0
    return await connect(
        birth.bus_url,
        credentials=run_dir.credentials,
        name=id,
        node=birth.node,
        wait=wait,
        absent=orphan,
        patience=_PATIENCE,
    )


async def _serve(bus: Bus, shim: Shim, *, patient: bool) -> Served:
    """Answer SHIM, however long it takes until there is a bus where we are `patient`."""
    endpoints = ShimEndpoints.endpoints.bind(ShimEndpoints(shim))
    while True:
        try:
            return await bus.serve(SHIM, endpoints, version=__version__, id=shim.id)
        except Unavailable:
            if not patient:
                raise


async def _leave(run_dir: RunDir, bus: Bus, served: Served, shim: Shim) -> None:
    # In this order: a nursery that sees no pid file waits, and one that sees no directory may begin a new life in it.
    run_dir.pid_file.unlink(missing_ok=True)
    await served.stop()
    await shim.close()
    await bus.close()
    run_dir.remove()
