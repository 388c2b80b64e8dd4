"""Keeps services running: starts each, waits until it says that it is ready, starts it again when it ends.

It is to `seaway up` what systemd is to an installed Seaway, and speaks the same protocols: sd_notify(3) and
sd_listen_fds(3). A service that is restarted keeps its listening sockets, because they are held here, and gets back the
descriptors that it has stored here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seaway_service import EXIT_CONFIG
from seaway_service.descriptors import METRICS

from seaway_cli.stack.layout import Layout
from seaway_cli.stack.notifications import MOST, Notifications

log = logging.getLogger("seaway-up")

FIRST_DELAY, LAST_DELAY, STABLE = 0.05, 5.0, 10.0
"""Seconds: before the first restart, at most, and how long one that doesn't say when it is ready must live to be
restarted at once again. One that was ready always is: it was ended by something else than its start.
"""

_LISTENER = "listener"
"""What listening sockets are called in LISTEN_FDNAMES."""

# LISTEN_PID must be the pid of the process that reads it, which only that process knows before exec: so a few lines of
# Python run in between, which also move the descriptors to 3, 4, … where sd_listen_fds(3) expects them.
_HAND_OVER = """
import fcntl, os, sys
count = int(sys.argv[1])
passed = [int(number) for number in sys.argv[2 : 2 + count]]
given = [fcntl.fcntl(number, fcntl.F_DUPFD, 3 + count) for number in passed]
for number in passed:
    os.close(number)
for place, number in enumerate(given, 3):
    os.dup2(number, place)
    os.close(number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


@dataclass(frozen=True)
class Program:
    """One service: what to run and as whom.

    `sockets` are handed over as descriptors from 3 on, in order, and behind them the one for `metrics`.
    """

    name: str
    command: tuple[str, ...]
    user: str | None = None
    group: str | None = None
    sockets: tuple[socket.socket, ...] = ()
    metrics: socket.socket | None = None
    notifies: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


class Process:
    """A program that is kept running until `stop`. `refused` is set when it won't run with its settings at all."""

    def __init__(self, program: Program, layout: Layout) -> None:
        self.program = program
        self.ready = asyncio.Event()
        self.refused = asyncio.Event()
        self.pid = 0
        self._layout = layout
        self._notify = Notifications(layout.run / "notify" / program.name, user=program.user)
        self._notify.on_ready = self.ready.set
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to keep it running."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self, seconds: float = 10.0) -> None:
        """SIGTERM, and SIGKILL after `seconds`."""
        self._stopping = True
        if self._task is None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self._task), seconds)
        except TimeoutError:
            log.warning("Killing %s: it didn't stop within %g s", self.program.name, seconds)
            self._signal(signal.SIGKILL)
            await self._task
        finally:
            self._notify.close()

    async def _keep(self) -> None:
        loop, delay = asyncio.get_running_loop(), FIRST_DELAY
        while not self._stopping:
            began = loop.time()
            try:
                child = await self._spawn()
            except OSError as error:
                log.error("Cannot run %s: %s: %s", self.program.name, error.strerror, error.filename)
                self.refused.set()
                return
            code = await child.wait()
            self.pid = 0
            served = self.program.notifies and self.ready.is_set()
            self.ready.clear()
            if self._stopping:
                return
            if code == EXIT_CONFIG:
                self.refused.set()
                return
            well = served or loop.time() - began > STABLE
            delay = FIRST_DELAY if well else min(delay * 2, LAST_DELAY)
            log.warning("%s ended with %s; starting it again in %g s", self.program.name, describe_exit(code), delay)
            await asyncio.sleep(delay)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._notify.read()  # what the last one has stored at its very end
        listeners = [(_LISTENER, each.fileno()) for each in self.program.sockets]
        if self.program.metrics:
            listeners.append((METRICS, self.program.metrics.fileno()))
        passed = (*listeners, *self._notify.stored())
        # The log is opened for each start, so that a file moved away by a log rotation is let go.
        with self._layout.log(self.program.name).open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *self._command([number for _, number in passed]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment([name for name, _ in passed]),
                pass_fds=[number for _, number in passed],
                user=self.program.user,
                group=self.program.group,
                extra_groups=None if self.program.user is None else [],
                start_new_session=True,
                cwd="/",
            )
        self.pid = child.pid
        write_pid(self._layout.run / "services" / f"{self.program.name}.pid", child.pid)
        if not self.program.notifies:
            self.ready.set()
        return child

    def _command(self, numbers: list[int]) -> tuple[str, ...]:
        if not numbers:
            return self.program.command
        given = (str(len(numbers)), *map(str, numbers))
        return (sys.executable, "-I", "-S", "-c", _HAND_OVER, *given, *self.program.command)

    def _environment(self, names: list[str]) -> dict[str, str]:
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        if self.program.notifies:
            environment["NOTIFY_SOCKET"] = str(self._notify.path)
            environment["FDSTORE"] = str(MOST)
        if names:
            environment |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        return {**environment, **self.program.environment}

    def _signal(self, number: signal.Signals) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def end_leftover(pid_file: Path, marker: str, seconds: float = 5.0) -> None:
    """Ends the process an earlier `seaway up` left when it was killed itself.

    It is ours only if `marker` is in its command line.
    """
    try:
        pid = int(pid_file.read_text())
        ours = marker in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (OSError, ValueError):
        return
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL) if ours else ():
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], seconds)[0]:
                    return
        finally:
            os.close(handle)


def write_pid(path: Path, pid: int) -> None:
    """A pid file, in one step: whoever reads it finds the old process or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{pid}\n")
    fresh.rename(path)


def describe_exit(code: int) -> str:
    """`exit code 1` or `SIGKILL`, from what wait gave."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def listen(path: Path, *, group: int | None = None) -> socket.socket:
    """A listening unix socket, readable and writable for its owner and group; a leftover of an earlier engine is
    replaced.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    old = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    if group is not None:
        os.chown(path, 0, group)
    listener.listen(1024)
    return listener
