"""The nursery: answers `spawn` and `list`. It mints a shim's credential, lays out its directory, and orders it from
the template.

It needs to remember nothing: which shims live is read from the locks in their run directories.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec
from seaway_bus import Bus, Endpoints
from seaway_bus.credentials import mint_shim
from seaway_kernel import syscalls
from seaway_protocol import shim as protocol
from seaway_protocol.check import Checked, Finding, Places
from seaway_protocol.errors import DeadlineExceeded, Error, InvalidArgument, Unavailable, from_code
from seaway_protocol.kinds import Empty
from seaway_service.metrics import Counts, Family, gauge

from seaway_shim import lifeline, rundir, stdio, upgrade
from seaway_shim.adoption import Hold
from seaway_shim.lifeline import Cry
from seaway_shim.restart import Backoff
from seaway_shim.rundir import Birth, RunDir
from seaway_shim.settings import ShimSettings
from seaway_shim.template import Template
from seaway_shim.vault import Vault

log = logging.getLogger("seaway.nursery")

_AFTER_A_KILL = 0.2
"""Seconds at most before a shim that somebody has killed is replaced."""

_LOOK_AGAIN = 0.002
"""Seconds between two looks at a shim that is just leaving, or just coming."""


class Nursery:
    """The calls, as methods; and an eye on every shim, whoever forked it."""

    endpoints = Endpoints()

    def __init__(self, settings: ShimSettings, template: Template) -> None:
        """Raises OSError where the shims' key can't be read."""
        self._settings = settings
        self._template = template
        self._key = Path(settings.shim_key).read_text()
        self.bus: Bus | None = None
        self._home = Path(settings.run_dir) / "shim"
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoffs: defaultdict[str, Backoff] = defaultdict(Backoff)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._shims = Counts("how")
        self._living = 0

    def metrics(self) -> Iterator[Family]:
        """Shims that live, and what became of others."""
        yield gauge("seaway_shims", "Shims that are alive", self._living)
        doc = "Shims by how they came to be: new, found alive by this nursery, in the place of one that died, upgraded"
        yield Family("seaway_shims_total", "counter", doc, self._shims.samples())

    @endpoints.on(protocol.spawn)
    async def spawn(self, request: protocol.Spawn) -> protocol.Spawned:
        """A shim for a container; the one it has, where it has one."""
        if not (request.id.isascii() and request.id.isalnum()):
            raise InvalidArgument(f"cannot spawn a shim for {request.id!r}: it isn't a container's id")
        run_dir = RunDir(self._home / request.id)
        try:
            async with asyncio.timeout(self._settings.spawn_seconds), self._turn(request.id):
                while (pid := run_dir.shim()) is not None:
                    if pid:
                        return protocol.Spawned(pid=pid)
                    await asyncio.sleep(_LOOK_AGAIN)
                return protocol.Spawned(pid=await self._bear(run_dir, request))
        except TimeoutError:
            seconds = self._settings.spawn_seconds
            raise Unavailable(f"the shim of container {request.id[:12]} isn't on the bus after {seconds:g} s") from None

    @endpoints.on(protocol.list_)
    async def list_(self, _: Empty) -> protocol.Shims:
        """The shims that are alive."""
        found = {each.id: each.shim() for each in rundir.all_in(Path(self._settings.run_dir))}
        return protocol.Shims(pids={id: pid for id, pid in found.items() if pid})

    @endpoints.on(protocol.check)
    async def check(self, _: Empty) -> Checked:
        """Directories of shims that are gone, without anybody being about to replace them."""
        found = [each for each in rundir.all_in(Path(self._settings.run_dir)) if self._is_left(each)]
        return Checked(findings=tuple(_finding(each) for each in found))

    @endpoints.on(protocol.mend)
    async def mend(self, request: Places) -> Checked:
        """A new shim where a container still lives, else the directory goes."""
        mended = []
        for run_dir in rundir.all_in(Path(self._settings.run_dir)):
            if str(run_dir.path) in request.places and self._is_left(run_dir):
                await self._replace(run_dir, Hold(run_dir, None))
                mended.append(msgspec.structs.replace(_finding(run_dir), mended=not self._is_left(run_dir)))
        return Checked(findings=tuple(mended))

    def _is_left(self, run_dir: RunDir) -> bool:
        return run_dir.shim() is None and run_dir.path.exists() and run_dir.id not in self._turns

    @endpoints.on(protocol.upgrade_shims)
    async def upgrade_shims(self, request: protocol.UpgradeShims) -> protocol.ShimUpgrades:
        """Have the shims that aren't become another version, some at a time, and say what came of each."""
        program = request.program or sys.executable
        await upgrade.check(program)
        living = (await self.list_(Empty())).pids
        room = asyncio.Semaphore(max(1, request.at_once))

        async def one(id: str) -> protocol.ShimUpgrade:
            async with room:
                return await self._upgrade(id, program)

        wanted = request.ids or tuple(living)
        return protocol.ShimUpgrades(shims=tuple(await asyncio.gather(*map(one, wanted))))

    async def _upgrade(self, id: str, program: str) -> protocol.ShimUpgrade:
        assert self.bus
        try:
            before = await self.bus.call(protocol.state, Empty(), id=id, patience=2)
            if before.program == program:
                return protocol.ShimUpgrade(id=id, version=before.version)
            await self.bus.call(protocol.upgrade, protocol.Upgrade(program=program, tested=True), id=id)
            async with asyncio.timeout(upgrade.SELFTEST):
                now = await self._state(id)
                while now is None or now.program_at == before.program_at:
                    await asyncio.sleep(10 * _LOOK_AGAIN)
                    now = await self._state(id)
        except TimeoutError:
            return protocol.ShimUpgrade(id=id, error=f"it isn't there after {upgrade.SELFTEST:g} s")
        except Error as error:
            return protocol.ShimUpgrade(id=id, error=error.text)
        self._shims.add("upgraded" if now.shim_pid == before.shim_pid else "upgrade_failed")
        failed = "" if now.shim_pid == before.shim_pid else "it failed, and the container got a new shim"
        return protocol.ShimUpgrade(id=id, version=now.version, error=failed)

    async def _state(self, id: str) -> protocol.ShimState | None:
        """What a shim says that may just not be able to answer; None then. Raises Unavailable where it is gone."""
        assert self.bus
        try:
            return await self.bus.call(protocol.state, Empty(), id=id, seconds=1, patience=1)
        except (Unavailable, DeadlineExceeded):
            if RunDir(self._home / id).shim() is None and not (self._home / id).exists():
                raise
            return None

    def take_over(self) -> None:
        """Look after the shims there are already, and give the containers whose shims have died new ones."""
        rundir.sweep(Path(self._settings.run_dir))
        for run_dir in rundir.all_in(Path(self._settings.run_dir)):
            if pid := run_dir.shim():
                self._shims.add("adopted")
                self._watch(run_dir, pid, Hold.of_living(run_dir, pid))
            else:
                self._begin(self._replace(run_dir, Hold(run_dir, None)))

    async def _bear(self, run_dir: RunDir, request: protocol.Spawn, hold: Hold | None = None) -> int:
        """Have a shim forked, and hear that it is there. `hold` is what an earlier one has left."""
        birth = Birth(node=self._settings.node, bus_url=self._settings.bus_url, spawn=request, orphan=hold is not None)
        run_dir.make(birth, mint_shim(self._key, self._settings.node, request.id))
        stdio.make_fifos(run_dir.path)
        ours, theirs = lifeline.pair()
        vault = (hold.vault if hold else None) or Vault.make()
        try:
            with theirs:
                self._template.order(run_dir.path, theirs.fileno(), *vault.descriptors)
            cry = await _first_cry(ours, request.id)
        except BaseException as error:
            ours.close()
            if hold is None or hold.vault is not vault:
                vault.close()
            if isinstance(error, OSError):
                text = f"cannot fork a shim for container {request.id[:12]}: {error.strerror}"
                raise Unavailable(text) from error
            raise
        if cry.code:
            ours.close()
            if hold is None:
                vault.close()
                run_dir.remove()
            raise from_code(cry.code, cry.text)
        try:
            self._watch(run_dir, cry.pid, Hold(run_dir, vault), ours)
        except FileNotFoundError:  # it has done what it came for, and left
            ours.close()
            vault.close()
        self._shims.add("replacement" if hold else "new")
        if hold:
            hold.vault = None  # it is the new hold's
        return cry.pid

    def _watch(self, run_dir: RunDir, pid: int, hold: Hold, line: socket.socket | None = None) -> None:
        """Notice a shim's end. One that leaves takes its directory along first; one that is killed can't."""
        born = time.monotonic()
        loop = asyncio.get_running_loop()

        def heard() -> None:
            if line is not None and lifeline.hear(line) is None:
                loop.remove_reader(line)

        def ended() -> None:
            killed = pidfd >= 0 and _was_killed(pidfd)
            if pidfd >= 0:
                self._living -= 1
                loop.remove_reader(pidfd)
                os.close(pidfd)
            if line is not None:
                loop.remove_reader(line)
                line.close()
            self._ended(run_dir, hold, time.monotonic() - born, killed)

        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # ESRCH or EINVAL: what it came for was done before we looked
            pidfd = -1
            ended()
            return
        self._living += 1
        loop.add_reader(pidfd, ended)
        if line is not None:
            loop.add_reader(line, heard)

    def _ended(self, run_dir: RunDir, hold: Hold, lived: float, killed: bool) -> None:
        """A shim has ended after so many seconds: replace it, or let go of what it held."""
        if hold.left:
            pause = self._backoffs[run_dir.id].after(lived)
            log.error(
                "The shim of container %s was killed; the container gets a new one",
                run_dir.id[:12],
                extra={"container": run_dir.id},
            )
            self._begin(self._replace(run_dir, hold, min(pause, _AFTER_A_KILL) if killed else pause))
        else:
            hold.release()
            self._backoffs.pop(run_dir.id, None)

    async def _replace(self, run_dir: RunDir, hold: Hold, pause: float = 0.0) -> None:
        """A new shim for a container whose shim has died, as often as it takes. One that hasn't been started needs
        none.
        """
        try:
            await asyncio.sleep(pause)
            while hold.left and not await self._replaced(run_dir, hold):  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(self._backoffs[run_dir.id].after(0))
        finally:
            hold.release()

    async def _replaced(self, run_dir: RunDir, hold: Hold) -> bool:
        try:
            async with self._turn(run_dir.id):
                if run_dir.shim() is not None:
                    return True
                if run_dir.life() is None:
                    run_dir.remove()
                else:
                    await self._bear(run_dir, run_dir.birth().spawn, hold)
        except (Error, OSError, ValueError) as error:
            log.error(
                "Cannot give container %s a new shim: %s", run_dir.id[:12], error, extra={"container": run_dir.id}
            )
            return False
        return True

    def _turn(self, id: str) -> asyncio.Lock:
        """What whoever forks a shim for this container has to hold; it is forgotten when nobody does."""
        return self._turns.setdefault(id, asyncio.Lock())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _finding(run_dir: RunDir) -> Finding:
    return Finding(
        what="what a shim that is gone has left",
        where=str(run_dir.path),
        remedy="give the container a new shim, or remove it where there is nothing to adopt",
    )


async def _first_cry(line: socket.socket, id: str) -> Cry:
    """What the new shim says of itself. Raises Unavailable where it dies without a word."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(line, _resolve, readable)
    try:
        await readable
    finally:
        loop.remove_reader(line)
    cry = lifeline.hear(line)
    if cry is None:
        raise Unavailable(f"the shim of container {id[:12]} died at its birth; the journal says why")
    return cry


def _was_killed(pidfd: int) -> bool:
    """Whether a shim that has ended was ended by a signal; one that fails by itself will fail again."""
    try:
        word = syscalls.pidfd_get_info(pidfd).exit_status
    except OSError:
        return False
    return word is not None and os.WIFSIGNALED(word)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
