"""One container's parent: does what the table in `machine.py` says, and keeps what must be kept to say it.

It is autonomous: nothing here waits for another service but the reports, and those wait beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from seaway_bus import Bus, detach, done_since
from seaway_kernel import executor
from seaway_protocol.errors import Conflict, Error, NotModified
from seaway_protocol.plan import LaunchPlan
from seaway_protocol.shim import ExecStart, Start, Started
from seaway_protocol.supervisor import Report
from seaway_protocol.types import ExitStatus, Health, RestartPolicy

from seaway_shim import adoption, logs, machine, oom, restart, stdio, upgrade
from seaway_shim.adoption import Found, Inheritance
from seaway_shim.execs import Exec, Execs
from seaway_shim.freezer import frozen
from seaway_shim.health import Prober
from seaway_shim.machine import Effect, Event, State
from seaway_shim.process import Process
from seaway_shim.record import ExitRecord, RecordFile
from seaway_shim.reports import Reports
from seaway_shim.rundir import Birth, Course, Life, RunDir, ticks
from seaway_shim.streams import Streams
from seaway_shim.vault import Vault

log = logging.getLogger("seaway.shim")

LINGER = 2.0
"""Seconds that attached clients have to come to the end of the output before the exit is told all the same."""

FOR_EVER = -1

PROBE = "probe"
"""What keeps the process of a health check in the vault."""


class Shim:
    """A container's life. The methods that peers may ask for are called by `endpoints.py`."""

    def __init__(self, bus: Bus, run_dir: RunDir, birth: Birth, vault: Vault, baton: upgrade.Baton) -> None:
        """Raises InvalidArgument for a log that can't be had, OSError for directories that can't be used."""
        spawn = birth.spawn
        self.id = spawn.id
        self.state = State.READY
        self.left = asyncio.Event()
        self._spawn = spawn
        self._run_dir = run_dir
        self._bus = bus
        self._vault = vault
        self._baton = baton
        self._log = logs.open_log(spawn, run_dir.lost)
        self._record = RecordFile(Path(spawn.state_dir))
        # Whoever takes our directory away has given the host up: an engine that was purged, a test that is over.
        self.reports = Reports(bus, self.id, self._record.sequence, lambda: not run_dir.path.exists())
        self.streams = Streams(bus, self.id, self._log, run_dir.path, vault)
        self.execs = Execs(bus, self.id, run_dir.path / "exec", vault, self._exec_ended)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._acts: dict[Effect, Callable[[], Awaitable[None] | None]] = {
            Effect.LAUNCH: self._launch,
            Effect.TELL_STARTED: self._tell_started,
            Effect.CHECK_HEALTH: self._check_health,
            Effect.CALL_OFF: self._keep_life,
            Effect.SIGNAL: self._send_stop_signal,
            Effect.ALLOW_GRACE: self._allow_grace,
            Effect.KILL: self._kill,
            Effect.RECORD: self._write_record,
            Effect.TELL_EXITED: self._tell_exited,
            Effect.ANSWER_STOPS: self._answer_stops,
            Effect.PAUSE: self._pause,
            Effect.LEAVE: self._leave,
        }
        self._begin_anew(Start(plan=LaunchPlan()))

    def _begin_anew(self, asked: Start) -> None:
        """Forget the life before: somebody wants the container started."""
        self.asked = asked
        self.restarts = asked.restart_count
        self.process: Process | None = None
        self.exit: ExitStatus | None = None
        self.prober: Prober | None = None
        self._backoff = restart.Backoff()
        self._stopped = False
        self._signal = asked.stop_signal
        self._grace = asked.stop_timeout
        self._kills = oom.Kills("")
        self._alarm = oom.Alarm("", self._struck)
        self._due = 0
        self._end: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()

    async def inherit(self, orphan: bool) -> None:
        """Take over what a shim before us has left of this container. `orphan` says that nobody asked for us."""
        life, asked = self._run_dir.life(), self._run_dir.start()
        if life is None or asked is None:
            await self.streams.resume(None)
            return
        owners = self._vault.owners()
        kept = owners.pop("", {})
        pidfd = kept.pop("process", None)
        untold_start = False
        if pidfd is not None and life.status in adoption.LAUNCHING:
            life = adoption.launched(life, pidfd)
            untold_start = life.status not in adoption.LAUNCHING
        pidfd = adoption.first_process(life) if pidfd is None else pidfd
        left = adoption.inheritance(life, self._record.last, alive=pidfd is not None, orphan=orphan)
        self._begin_anew(asked)
        if left.found is not Found.NOTHING:
            log.warning("A new shim takes over container %s: %s", self.id[:12], left.found.value)
            self._stopped, self.restarts = life.stopped, life.restart_count
            self.reports.sequence = max(self.reports.sequence, life.sequence) + adoption.UNSAID
        for probe in owners.pop(PROBE, {}).values():
            adoption.end_probe(probe)
        self._vault.drop(PROBE)
        farewell = adoption.farewell(life, left.exit) if left.found is Found.UNTOLD else None
        self.reports.resume(report for report in life.untold if report is not farewell)
        async with self._turn:
            running = left.found in (Found.RUNNING, Found.DEAD)
            await self.streams.resume(self._reopened(kept) if running else None, terminal=self._spawn.terminal)
            await self.execs.resume(owners)
            adoption.let_go(kept)
            await self._inherit(left, life, pidfd, farewell)
            if untold_start:
                self._tell_started()

    async def _inherit(self, left: Inheritance, life: Life, pidfd: int | None, farewell: Report | None) -> None:
        self.exit = left.exit
        self._backoff.pause = life.pause
        self._kills = oom.Kills(self.asked.plan.cgroup, life.kills, life.kills_told)
        match left.found:
            case Found.RUNNING if pidfd is not None:
                self.state = State.STOPPING if life.stopping else State.RUNNING
                self._watch(Process(life.pid, pidfd, life.started_at))
                self._check_health(life.course)
                if life.due:
                    self._arm_at(life.due, Event.GRACE_OVER)
                self._keep_life()
            case Found.DEAD if left.exit:
                self.state = State.RUNNING
                self._begin(self._died(left.exit))
            case Found.WAITING:
                self.state = State.WAITING
                self.restarts += not life.due  # it was killed between the end and the pause
                self._arm_at(life.due, Event.PAUSE_OVER)
            case Found.UNTOLD:
                self.state = State.EXITED
                self._farewell = farewell or self.reports.draft(
                    "exited", exit=self.exit, restart_count=self.restarts, stopped=self._stopped
                )
                self._tell_exited()

    # -- what peers ask for ---------------------------------------------------------------------------------------

    async def start(self, asked: Start) -> Started:
        """Launch the container. Raises Conflict unless it is ready or has exited, InvalidArgument where the kernel
        refuses. One that is asked again for what it has done, by a supervisor that was killed meanwhile, says so.
        """
        restart.check(asked.restart)
        async with self._turn:
            if self.process and done_since(self.process.started_at):
                return Started(pid=self.process.pid, started_at=self.process.started_at)
            machine.step(self.state, Event.START)
            self._begin_anew(asked)
            self._run_dir.keep_start(asked)
            await self._advance(Event.START)
            assert self.process
            return Started(pid=self.process.pid, started_at=self.process.started_at)

    async def stop(self, number: int, seconds: int | None) -> ExitStatus:
        """End the container and return how it ended. Raises NotModified where it doesn't run."""
        async with self._turn:
            if (self.state, Event.STOP) not in machine.TRANSITIONS:
                raise NotModified(f"container {self.id[:12]} isn't running")
            self._stopped = True
            self._signal = number or self.asked.stop_signal
            self._grace = self.asked.stop_timeout if seconds is None else seconds
            await self._advance(Event.STOP)
            self._keep_life()
            end = self._end
        return await asyncio.shield(end)

    def send(self, number: int) -> None:
        """Send a signal to the first process. Raises Conflict where there is none.

        SIGKILL, or the container's own stop signal, says that the end is wanted: no restart policy applies then.
        """
        process = self.running("signal")
        if number in (signal.SIGKILL, self.asked.stop_signal):
            self._stopped = True
            self._keep_life()
        if not process.send(number):
            raise Conflict(f"cannot signal container {self.id[:12]}: its first process has ended")

    def running(self, what: str) -> Process:
        """The first process. Raises Conflict, with `what` in its text, where it doesn't run."""
        if self.process is None or self.state not in (State.RUNNING, State.STOPPING):
            raise Conflict(f"cannot {what} a container that is {machine.STATUS[self.state]}")
        return self.process

    async def start_exec(self, request: ExecStart) -> Started:
        """Start a prepared exec and tell of it. Raises Conflict while the container is paused, for what is frozen never
        gets as far as exec, and what `Execs.start` raises.
        """
        if begun := self.execs.begun(request.id):
            return begun
        if frozen(self.asked.plan.cgroup):
            raise Conflict(f"Container {self.id} is paused, unpause the container before exec")
        started = await self.execs.start(request, self.running("start an exec in").pidfd)
        self._tell(self.reports.draft("exec_started", exec=request.id, pid=started.pid))
        return started

    @property
    def stdin_once(self) -> bool:
        """Whether the first client's end of input is the container's."""
        return self._spawn.stdin_once

    def update(self, policy: RestartPolicy) -> None:
        """Another restart policy from now on. Raises InvalidArgument for one nobody knows."""
        restart.check(policy)
        self.asked = msgspec.structs.replace(self.asked, restart=policy)
        if self.state is not State.READY:
            self._run_dir.keep_start(self.asked)

    async def close(self) -> None:
        """The life is over: let what is still under way come to its end, give the descriptors back."""
        await self.reports.settle()
        try:
            await asyncio.to_thread(executor.undo, self.asked.plan.undo)
        except* OSError as errors:
            for error in errors.exceptions:
                log.error("Container %s leaves something behind: %s", self.id[:12], error)
        await self.execs.close()
        if self.exit is None:  # it never ran, and who is attached hasn't been told that there is nothing to come
            await self.streams.end(0)
        await self.streams.close()
        self._record.close()
        self._log.close()

    async def become(self, program: str, *, tested: bool) -> None:
        """Go on as another program, once this has been answered. Raises InvalidArgument where it can't be run.

        `tested` says that whoever asks has seen its self-test.
        """
        if not tested:
            await upgrade.check(program)
        self._begin(self._become(program))

    async def _become(self, program: str) -> None:
        async with self._turn:
            with contextlib.suppress(Error):
                await self._bus.settle(1.0)
            self._keep_life()
            self._log.close()
            try:
                upgrade.execute(program, self._baton)
            except OSError as error:
                log.error("Container %s keeps its shim, %s can't be executed: %s", self.id[:12], program, error)
                self._log = logs.open_log(self._spawn, self._run_dir.lost)
                self.streams.log_anew(self._log)

    async def retire(self) -> None:
        """End the shim. Raises Conflict while its container lives."""
        async with self._turn:
            await self._advance(Event.RETIRE)

    @property
    def lost(self) -> int:
        """Lines of output that never came to the log, or to where it is sent."""
        return self._log.lost

    @property
    def health(self) -> Health | None:
        """What the health checks found; None where there are none."""
        return self.prober.health if self.prober else None

    # -- the table, acted out -------------------------------------------------------------------------------------

    async def _advance(self, event: Event) -> None:
        """One transition with its effects. Whoever calls it has the turn."""
        transition = machine.step(self.state, event)
        self.state = transition.to
        for effect in transition.effects:
            if (pending := self._acts[effect]()) is not None:
                await pending

    def _later(self, event: Event) -> None:
        """A transition from outside any turn; what has been overtaken by another event is nothing."""
        self._begin(self._take_turn(event))

    async def _take_turn(self, event: Event) -> None:
        async with self._turn:
            if (self.state, event) in machine.TRANSITIONS:
                await self._advance(event)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = detach(work, name=f"shim {self.id[:12]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _launch(self) -> None:
        self._kills = oom.Kills(self.asked.plan.cgroup)
        self._keep_life()  # a process that is born, and not yet written down, is looked for in the vault
        try:
            self.process = self.streams.begin(self.asked.plan, self._fifos)
        except Error as error:
            await self._refused(error)
            return
        self.exit = None
        self._watch(self.process)
        await self._advance(Event.LAUNCHED)

    def _watch(self, process: Process) -> None:
        self.process = process
        self._alarm = oom.Alarm(self.asked.plan.cgroup, self._struck)
        process.ended.add_done_callback(lambda ended: self._begin(self._died(ended.result())))

    async def _refused(self, error: Error) -> None:
        """The first start tells its caller; a restart, which has none, ends the container with the reason."""
        first = self.state is State.LAUNCHING
        if not first:
            code = 127 if error.details.get("errno") == "ENOENT" else 126
            self.exit = ExitStatus(code=code, started_at=time.time_ns(), finished_at=time.time_ns())
            log.error("Cannot restart container %s: %s", self.id[:12], error)
        await self._advance(Event.REFUSED)
        if first:
            raise error

    def _fifos(self) -> stdio.Ends:
        return stdio.fifos(self._run_dir.path, stdin=self._spawn.stdin_open)

    def _reopened(self, kept: dict[str, int]) -> stdio.Ends:
        """Our ends of the streams of a process that runs already, of which the vault has kept some."""
        if self._spawn.terminal:
            return stdio.terminal(kept.pop("master")) if "master" in kept else stdio.Ends()
        return stdio.Ends(None, stdio.outputs(self._run_dir.path), kept.pop("stdin", None))

    def _tell_started(self) -> None:
        assert self.process
        self._tell(self.reports.draft("started", pid=self.process.pid, restart_count=self.restarts))

    def _check_health(self, course: Course | None = None) -> None:
        assert self.process
        if self.asked.health and self.asked.health_plan:
            self.prober = Prober(
                self.asked.health,
                self.asked.health_plan,
                self.process.pidfd,
                self._health_found,
                course=course,
                begun=self._probing,
            )
            self._keep_life()

    def _probing(self, pidfd: int | None) -> None:
        """A probe that outlives its shim is nobody's: the next one ends it and begins again."""
        if pidfd is None:
            self._vault.drop(PROBE)
        else:
            self._vault.put(PROBE, process=pidfd)

    def _send_stop_signal(self) -> None:
        assert self.process
        self.process.send(self._signal)

    def _allow_grace(self) -> None:
        # Whoever asks again, perhaps because a shim was killed over it, can only make it shorter.
        if self._grace == FOR_EVER:
            return
        due = time.monotonic_ns() + self._grace * 1_000_000_000
        due = min(self._due, due) if self._due else due
        self._disarm()
        self._arm_at(due, Event.GRACE_OVER)

    def _kill(self) -> None:
        assert self.process
        self.process.send(signal.SIGKILL)

    async def _died(self, status: ExitStatus) -> None:
        """The first process is reaped; with it every process of its pid namespace is gone."""
        async with self._turn:
            self._disarm()
            self.streams.drain()
            if self.prober:
                self.prober.stop()
            if self.process:
                self.process.close()
            self._struck()
            self._alarm.close()
            self.exit = msgspec.structs.replace(status, oom_killed=self._kills.told > 0)
            returns = restart.applies(
                self.asked.restart, code=status.code, restarts=self.restarts, stopped=self._stopped
            )
            await self._advance(Event.DIED_TO_RETURN if returns else Event.DIED)

    async def _write_record(self) -> None:
        """Write the exit down and bring the streams to their end, side by side: both take about a millisecond."""
        assert self.exit
        restarting = self.state is State.WAITING
        self._farewell = self.reports.draft(
            "exited", exit=self.exit, restarting=restarting, restart_count=self.restarts, stopped=self._stopped
        )
        record = ExitRecord(id=self.id, sequence=self._farewell.sequence, restarting=restarting, exit=self.exit)
        written = asyncio.get_running_loop().run_in_executor(None, self._record.write, record)
        await self.streams.end(LINGER)
        await self.execs.settle()
        try:
            await written
        except OSError as error:
            log.error("Cannot write the exit record of container %s, it is told all the same: %s", self.id[:12], error)

    def _tell_exited(self) -> None:
        self._vault.drop("")
        acknowledged = self._tell(self._farewell)
        if self.state is State.EXITED:
            acknowledged.add_done_callback(lambda _: self._begin(self._acknowledged()))

    async def _acknowledged(self) -> None:
        """It is known that the container has ended; who reads its last output may need longer."""
        await self.streams.settle()
        await self._take_turn(Event.ACKNOWLEDGED)

    def _answer_stops(self) -> None:
        assert self.exit
        if not self._end.done():
            self._end.set_result(self.exit)

    def _pause(self) -> None:
        assert self.exit
        ran_for = (self.exit.finished_at - self.exit.started_at) / 1e9
        self.restarts += 1
        self._arm_at(time.monotonic_ns() + int(self._backoff.after(ran_for) * 1e9), Event.PAUSE_OVER)
        self._keep_life()

    def _leave(self) -> None:
        self._disarm()
        self.left.set()

    # -- the rest -------------------------------------------------------------------------------------------------

    def _arm_at(self, due: int, event: Event) -> None:
        """Have `event` come about at a time of CLOCK_MONOTONIC, nanoseconds."""
        self._due = due
        seconds = (due - time.monotonic_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(seconds, self._later, event)

    def _disarm(self) -> None:
        self._due = 0
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _keep_life(self) -> None:
        pid = self.process.pid if self.process and self.state in (State.RUNNING, State.STOPPING) else 0
        life = Life(
            status=machine.STATUS[self.state],
            pid=pid,
            ticks=ticks(pid) if pid else 0,
            started_at=self.process.started_at if self.process else 0,
            restart_count=self.restarts,
            sequence=self.reports.sequence,
            stopped=self._stopped,
            stopping=self.state is State.STOPPING,
            due=self._due,
            pause=self._backoff.pause,
            course=self.prober.course if self.prober else None,
            kills=self._kills.before,
            kills_told=self._kills.told,
            untold=self.reports.untold(),
        )
        try:
            self._run_dir.keep_life(life)
        except OSError as error:  # no space, or purged: a shim after us would know less, and that is all
            log.error("Cannot write down how container %s is: %s", self.id[:12], error)

    def _tell(self, report: Report) -> asyncio.Future[None]:
        """Tell, and have a shim after us tell it again. It is on its way in the loop's next turn, not before."""
        acknowledged = self.reports.tell(report)
        self._keep_life()
        return acknowledged

    def _struck(self) -> None:
        """The OOM killer has perhaps struck."""
        while self._kills.told < self._kills.count:
            self._kills.told += 1
            self._tell(self.reports.draft("oom"))

    def _health_found(self, health: Health) -> None:
        self._tell(self.reports.draft("health", health=health))

    def _exec_ended(self, ended: Exec, status: ExitStatus) -> None:
        self._tell(self.reports.draft("exec_exited", exec=ended.id, pid=ended.state.pid, exit=status))
