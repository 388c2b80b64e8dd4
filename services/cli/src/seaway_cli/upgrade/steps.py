"""One step of an upgrade: a service's other version installed, proved, and else taken back."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from seaway_cli.doctor.facts import Host
from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.stack.layout import Layout
from seaway_cli.upgrade import gates, record, versions
from seaway_cli.upgrade.record import Record
from seaway_cli.upgrade.report import Result
from seaway_cli.upgrade.versions import Refused, Step

_DPKG_PATIENCE = 120.0
_SPARE = 32 << 20
"""Bytes that must be left on the disk after an installation."""
PROVED = "ready, a container ran, all others go on"


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    result: Result
    says: str


@dataclass(frozen=True)
class Walk:
    """What all steps of a run share. `run` names it; `lock` is what keeps others from upgrading at the same time."""

    engine: Engine
    opt: Path
    run: str
    lock: int

    def upgrade(self, step: Step) -> Outcome:
        """To a version that a package brings, or that was begun before. The record stays, for a rollback."""
        here = Record(step.service, step.before, step.after, self.run)
        return self._take(step, here)

    def rollback(self, step: Step) -> Outcome:
        """To a version that stands beside the current one. Nothing is left to be undone."""
        return self._take(step, None)

    def _take(self, step: Step, here: Record | None) -> Outcome:
        before = self._before(step)
        if here:
            record.write(self.opt, here)
        wrong = self._replace(step) or self.wrong(step, before)
        if wrong:
            return self._back(step, before, wrong)
        if here:
            record.write(self.opt, Record(here.service, here.before, here.after, here.run, proved=True))
        else:
            record.forget(self.opt, step.service)
        return Outcome(Result.DONE, PROVED)

    def _before(self, step: Step) -> dict[str, int]:
        """The containers that must be unharmed. Raises Refused where the engine isn't well, but not to mend it."""
        try:
            return gates.processes(self.engine)
        except EngineError as error:
            if step.begun:
                return {}
            raise Refused(f"cannot replace {step.service}: the engine isn't well before: {error}") from error

    def _replace(self, step: Step) -> str:
        """Install it and restart its unit; why that failed."""
        if step.package is None:
            return self._flip(step.service, step.after)
        if step.begun and step.before in versions.beside(self.opt, step.service):
            # The package keeps the version that is current while it is installed: let that be the one to go back to.
            versions.flip(self.opt, step.service, step.before)
        return install(step.package, self.lock)

    def _back(self, step: Step, before: dict[str, int], wrong: str) -> Outcome:
        now = self._flip(step.service, step.before)
        now = now or self.wrong(Step(step.service, step.after, step.before), before)
        if now:
            says = f"cannot use {step.service} {step.after}: {wrong}; it is {step.before} again, still not well: {now}"
            return Outcome(Result.NOT_WELL, says)
        record.forget(self.opt, step.service)
        says = f"cannot use {step.service} {step.after}: {wrong}; it is {step.before} again, and well"
        return Outcome(Result.TAKEN_BACK, says)

    def _flip(self, service: str, version: str) -> str:
        if version not in versions.beside(self.opt, service):
            return f"version {version} isn't there any more; install its package"
        versions.flip(self.opt, service, version)
        if service != "cli":
            unit = f"seaway-{service}.service"
            subprocess.run(["systemctl", "reset-failed", unit], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["systemctl", "restart", unit], check=False, stderr=subprocess.DEVNULL)
        return ""

    def wrong(self, step: Step, before: dict[str, int]) -> str:
        """What the first gate says that isn't passed."""
        layout = Layout.of(None, self.opt)
        passed: tuple[Callable[[], str], ...] = (
            lambda: "" if step.service == "cli" else gates.unit_active(Host(), step.service),
            lambda: gates.says_version(layout, self.engine, step.service, step.after),
            lambda: gates.container_runs(self.engine),
            lambda: gates.unharmed(self.engine, before),
        )
        return next((wrong for gate in passed if (wrong := gate())), "")


def install(package: Path, lock: int) -> str:
    """`dpkg -i`; why it failed.

    It has a session of its own, so that no Ctrl-C ends it half-way, and shares our lock, so that nobody begins another
    upgrade while it works on after our end. Where somebody else has dpkg's own lock it is tried again for two minutes.
    """
    deadline = time.monotonic() + _DPKG_PATIENCE
    while True:
        done = subprocess.run(
            # A settings file that somebody has changed stays as it is: nobody is there to be asked.
            ["dpkg", "--force-confdef", "--force-confold", "-i", package],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            start_new_session=True,
            pass_fds=(lock,),
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode == 0:
            return ""
        if "locked by another process" not in done.stdout or time.monotonic() > deadline:
            return f"cannot install {package.name}: {_reason(done.stdout)}"
        time.sleep(0.5)


def _reason(output: str) -> str:
    """The line of dpkg's that says most: our own scripts', else the first error's."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("seaway-")]
    errors = [after for line, after in itertools.pairwise(lines) if line.startswith("dpkg: error")]
    return (ours[-1:] or errors[:1] or lines[-1:] or ["dpkg failed"])[0]


def check_room(steps: list[Step], opt: Path) -> None:
    """Raises Refused where the disk can't take all the packages unpacked beside what is there."""
    needed = sum(_unpacked(each.package) for each in steps if each.package)
    found = os.statvfs(opt)
    free = found.f_bavail * found.f_frsize
    if needed and free < needed + _SPARE:
        raise Refused(
            f"cannot upgrade: {opt} has {free >> 20} MiB free, and the packages need {needed + _SPARE >> 20} MiB; "
            "make room first"
        )


def _unpacked(package: Path) -> int:
    """Bytes that a package takes up. Raises Refused where it can't be read."""
    done = subprocess.run(
        ["dpkg-deb", "--field", package, "Installed-Size"], capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout.strip().isdigit():
        raise Refused(f"cannot upgrade: {package} can't be read as a package; fetch it again")
    return int(done.stdout) << 10


@contextlib.contextmanager
def alone(path: Path) -> Iterator[int]:
    """The lock of upgrades, held for the time of a `with`. Raises Refused where somebody else has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Refused("cannot replace services: another upgrade is under way; wait for its end") from None
    try:
        yield lock
    finally:
        os.close(lock)


@contextlib.contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """For the time of a `with` a first SIGINT or SIGTERM is only noted; a second one ends us. Yields what tells it.

    So the step under way is proved or taken back. A step costs seconds, half a step an administrator.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
