"""A host's part of an upgrade: asked the same question again and again, it does what is missing and says how far it is.

<state>/fleet/upgrades/fence            the highest lease's revision that has asked
<state>/fleet/upgrades/<plan>/
  before.json                           versions and containers' processes before the first attempt
  <attempt>/  <attempt>-back/           a job each, of `worker`
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from seaway_bus import Endpoints, detach
from seaway_protocol import upgrades
from seaway_protocol.errors import Conflict, Error, InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.kinds import Message
from seaway_protocol.upgrades import HostProgress, HostUpgrade, ServiceStep
from seaway_service import durable

from seaway_fleet.upgrade import worker
from seaway_fleet.upgrade.launching import Launcher
from seaway_fleet.upgrade.release import Releases
from seaway_fleet.upgrade.worker import Job, Result

log = logging.getLogger("seaway.fleet")

MOST_STARTS = 3
"""Times that a job is begun anew after its end without a result; then the host is taken back."""

ORPHANED = 120.0
"""Seconds after which a half-upgraded host that no leader asks about is taken back by itself."""

KEPT_PLANS = 5

Processes = Callable[[], Awaitable[Mapping[str, int]]]
"""The first process of each container that runs, by the container's id."""

_FINAL = (Conflict, InvalidArgument, NotFound, PermissionDenied)


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """The host before the plan. `boot` is the kernel's: after another boot all processes are other ones."""

    versions: dict[str, str]
    processes: dict[str, int]
    boot: str


class HostUpgrades:
    """Answers the leader."""

    endpoints = Endpoints()

    def __init__(
        self,
        directory: Path,
        releases: Releases,
        launcher: Launcher,
        processes: Processes,
        *,
        program: Sequence[str] = ("/usr/bin/seaway",),
        opt: Path = Path("/opt/seaway"),
    ) -> None:
        self._directory = directory
        self._releases = releases
        self._launcher = launcher
        self._processes = processes
        self._program = tuple(program)
        self._opt = opt
        self._turn = asyncio.Lock()
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._trouble: dict[str, str] = {}
        self._asked = asyncio.Event()

    @endpoints.on(upgrades.upgrade_host)
    async def upgrade_host(self, request: HostUpgrade) -> HostProgress:
        """Do what is missing, and say how far it is."""
        async with self._turn:
            self._asked.set()
            self._fence(request)
            return await (self._forward(request) if request.forward else self._back(request))

    async def settle(self) -> None:
        """Take the host back where it was left in the middle and nobody who leads asks about it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ORPHANED):
                await self._asked.wait()
                return
        async with self._turn:
            for place in self._unfinished():
                if await self._launcher.running(_unit(place)):
                    continue  # it ends by itself
                log.warning("Taking this host back: it was left in the middle of %s", place.parent.name)
                (place / worker.RESTORE).touch()
                await self._launch(place)

    async def close(self) -> None:
        """Stop fetching."""
        for task in self._fetching.values():
            task.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    # -- forward ------------------------------------------------------------------------------------------------

    async def _forward(self, request: HostUpgrade) -> HostProgress:
        place = self._place(request)
        if _result(place) is None and not (place / worker.JOB).exists():
            return await self._prepare(request, place)
        return await self._going_on(place)

    async def _prepare(self, request: HostUpgrade, place: Path) -> HostProgress:
        """Fetch the packages, then begin."""
        name = f"{request.plan}.{request.attempt}"
        others = [each for each in self._unfinished() if each != place and await self._launcher.running(_unit(each))]
        if others:
            return HostProgress(state="fetching", says=f"waiting for the end of {others[0].parent.name}")
        if name not in self._fetching:
            self._fetching[name] = detach(self._fetch(request, place, name), name=f"fetch {request.release}")
        done, _ = await asyncio.wait([self._fetching[name]], timeout=0.5)
        if done:
            self._fetching.pop(name)
            if _result(place) or (place / worker.JOB).exists():
                return await self._going_on(place)
        return HostProgress(state="fetching", says=self._trouble.get(name, ""))

    async def _fetch(self, request: HostUpgrade, place: Path, name: str) -> None:
        """Have the packages and write the job; what can't succeed later is the result."""
        try:
            source = await self._releases.take(request.release, request.services)
            before = await self._before(request)
            self._releases.drop_others(request.release)
        except _FINAL as error:
            place.mkdir(parents=True, exist_ok=True)
            self._end(place, Result(state="restored", says=error.text))
            return
        except (Error, OSError) as error:
            self._trouble[name] = str(error)
            return
        self._trouble.pop(name, None)
        policy = request.policy
        job = Job(
            forward=True,
            source=str(source),
            services=request.services,
            before=before.versions,
            program=self._program,
            opt=str(self._opt),
            gate=policy.gate,
            gate_seconds=policy.gate_seconds,
            downgrade=policy.downgrade,
            shims=policy.shims,
        )
        place.mkdir(parents=True, exist_ok=True)
        for other in self._unfinished():
            self._end(other, Result(state="stuck", says=f"given up for {name}"))
        durable.write(place / worker.JOB, msgspec.json.encode(job))

    async def _before(self, request: HostUpgrade) -> Before:
        """The host before the plan: as it was found first."""
        file = self._directory / "upgrades" / request.plan / "before.json"
        if file.exists():
            return msgspec.json.decode(file.read_bytes(), type=Before)
        self._forget_old(request.plan)
        before = Before(
            versions=worker.current(self._opt, request.services),
            processes=dict(await self._processes()),
            boot=_boot(),
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write(file, msgspec.json.encode(before))
        return before

    # -- back ---------------------------------------------------------------------------------------------------

    async def _back(self, request: HostUpgrade) -> HostProgress:
        place = self._place(request)
        if (task := self._fetching.pop(f"{request.plan}.{request.attempt}", None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        result = _result(place)
        if result is None and not (place / worker.JOB).exists():
            place.mkdir(parents=True, exist_ok=True)
            self._end(place, Result(state="restored", says="not begun"))  # so that it can't begin any more
            return HostProgress(state="restored", says="not begun")
        if result is None:
            (place / worker.RESTORE).touch()
            return await self._going_on(place)
        if result.state == "restored":
            return await self._told(place)
        back = place.with_name(f"{place.name}-back")
        if not (back / worker.JOB).exists():
            forward = msgspec.json.decode((place / worker.JOB).read_bytes(), type=Job)
            back.mkdir(exist_ok=True)
            job = msgspec.structs.replace(forward, forward=False)
            durable.write(back / worker.JOB, msgspec.json.encode(job))
        return await self._going_on(back)

    # -- both ---------------------------------------------------------------------------------------------------

    async def _going_on(self, place: Path) -> HostProgress:
        """How far a job is; one that has ended without a result goes on, and in the end goes back."""
        if _result(place) is None and not await self._launcher.running(_unit(place)) and _result(place) is None:
            await self._launch(place)
        return await self._told(place)

    async def _launch(self, place: Path) -> None:
        starts = len(list(place.glob("start.*")))
        if starts >= MOST_STARTS:
            (place / worker.RESTORE).touch()
        (place / f"start.{starts}").touch()
        python = Path(sys.prefix).resolve() / "bin" / "python"  # of our version, whichever is current later
        await self._launcher.start(_unit(place), (str(python), "-m", "seaway_fleet.upgrade.worker", str(place)))

    async def _told(self, place: Path) -> HostProgress:
        result = _result(place)
        if result is None:
            return HostProgress(state="working", services=_steps(place))
        try:
            before = msgspec.json.decode((place.parent / "before.json").read_bytes(), type=Before)
        except FileNotFoundError:
            return HostProgress(state=result.state, says=result.says)
        kept, restarted = await self._compared(before)
        return HostProgress(
            state=result.state,
            says=result.says,
            services=_steps(place),
            before=before.versions,
            now=result.now,
            kept=kept,
            restarted=restarted,
        )

    async def _compared(self, before: Before) -> tuple[int, tuple[str, ...]]:
        """How many containers go on in the same process, and those that run in another."""
        if before.boot != _boot():
            return 0, ()
        try:
            now = await self._processes()
        except Error:
            return 0, ()
        both = before.processes.keys() & now.keys()
        return (
            sum(before.processes[each] == now[each] for each in both),
            tuple(sorted(each for each in both if before.processes[each] != now[each])),
        )

    def _end(self, place: Path, result: Result) -> None:
        durable.write(place / worker.RESULT, msgspec.json.encode(result))

    def _place(self, request: HostUpgrade) -> Path:
        plan = request.plan
        if not plan.replace("-", "").isalnum():
            raise InvalidArgument(f"cannot upgrade this host: {plan!r} isn't the id of an upgrade")
        return self._directory / "upgrades" / plan / str(request.attempt)

    def _fence(self, request: HostUpgrade) -> None:
        """Raises Conflict where a later leader has asked before; else remembers this one."""
        file = self._directory / "upgrades" / "fence"
        highest = int(file.read_text()) if file.exists() else 0
        if request.fence < highest:
            raise Conflict(
                f"cannot obey: a leader elected later has asked before (revision {highest}, and not {request.fence})"
            )
        if request.fence > highest:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                durable.write(file, str(request.fence))
            except OSError as error:
                raise Unavailable(f"cannot keep {file}: {error.strerror}") from error

    def _unfinished(self) -> list[Path]:
        """The jobs that have begun and not ended, newest first."""
        jobs = sorted((self._directory / "upgrades").glob(f"*/*/{worker.JOB}"), reverse=True)
        return [each.parent for each in jobs if _result(each.parent) is None]

    def _forget_old(self, plan: str) -> None:
        """Keep the traces of the last few plans."""
        plans = sorted(each for each in (self._directory / "upgrades").glob("*/") if each.name != plan)
        for old in plans[: -KEPT_PLANS + 1]:
            shutil.rmtree(old, ignore_errors=True)


def _unit(place: Path) -> str:
    return f"seaway-upgrade-{place.parent.name}-{place.name}"


def _result(place: Path) -> Result | None:
    try:
        return msgspec.json.decode((place / worker.RESULT).read_bytes(), type=Result)
    except FileNotFoundError:
        return None


class _Said(Message):
    """A line of `seaway upgrade --json` about a service."""

    service: str = ""
    before: str = ""
    after: str = ""
    state: str = ""
    says: str = ""


def _steps(place: Path) -> tuple[ServiceStep, ...]:
    """What was said of each service last."""
    said: dict[str, ServiceStep] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (place / worker.PROGRESS).read_text().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                each = msgspec.json.decode(line, type=_Said)
                if each.service:
                    said[each.service] = ServiceStep(**msgspec.structs.asdict(each))
    return tuple(said.values())


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
