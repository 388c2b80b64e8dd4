"""What upgrades a host, as a process of its own: `python -m seaway_fleet.upgrade.worker DIRECTORY`.

It outlives the fleet service, which is upgraded, too; so it is told everything in a file, speaks with nobody, and
leaves what has become of it in another. In the directory:

    job.json        what is to be done
    progress.json   what was said of each service so far, one JSON object a line
    result.json     how it ended; it isn't there before that, and never half
    restore         somebody wants the host as it was: the step under way is the last one

One that fails takes the host back by itself. It does nothing that it couldn't do again: killed at any instant it is
started with the same job. SIGTERM, at the host's shutdown, ends it after the step under way, without a result.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from seaway_service import durable

JOB, PROGRESS, RESULT, RESTORE, LOCK = "job.json", "progress.json", "result.json", "restore", "lock"
INTERRUPTED = 130
_PAUSE = 0.1
_OTHERS = "another upgrade is under way"
_PATIENCE = 300.0
"""Seconds for which somebody else's `seaway upgrade` is waited for, or what a worker before us has left running."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: `forward` to the packages in `source`, or back to the versions in `before`.

    `program` begins the command line of `seaway`; `opt` is where the versions stand side by side.
    """

    forward: bool
    source: str
    services: tuple[str, ...]
    before: dict[str, str]
    program: tuple[str, ...] = ("seaway",)
    opt: str = "/opt/seaway"
    gate: str = ""
    gate_seconds: int = 60
    downgrade: bool = False
    shims: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: done, restored or stuck. `now` is what the host then ran."""

    state: str
    says: str = ""
    now: dict[str, str] = {}


def current(opt: Path, services: Iterable[str]) -> dict[str, str]:
    """The version of each service that is started next; what isn't installed is left out."""
    found: dict[str, str] = {}
    for service in services:
        try:
            found[service] = (opt / service / "current").readlink().name
        except OSError:
            continue
    return found


class Worker:
    """One job."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._job = msgspec.json.decode((directory / JOB).read_bytes(), type=Job)
        self._child: subprocess.Popen[str] | None = None
        self._ending = False

    def run(self) -> int:
        """Do it, once: a second process waits here for the first, and finds the result."""
        with _alone(self._directory / LOCK):
            if not (self._directory / RESULT).exists():
                result = self._forward() if self._job.forward else self._back("")
                durable.write(self._directory / RESULT, msgspec.json.encode(result))
        return 0

    def _forward(self) -> Result:
        wrong = "taken back as asked" if self._wanted_back() else self._upgrade()
        if not wrong and self._job.gate:
            wrong = self._gate()
        if not wrong and self._wanted_back():
            wrong = "taken back as asked"
        return self._back(wrong) if wrong else Result(state="done", now=self._now())

    def _upgrade(self) -> str:
        """`seaway upgrade`; what it says where it fails."""
        job = self._job
        options = [*(["--downgrade"] if job.downgrade else []), *(["--shims"] if job.shims else [])]
        there = [each for each in job.services if each in job.before]
        if not there:
            return ""  # without names all that is found would be installed
        return self._seaway("upgrade", "--from", job.source, "--json", *options, *there)

    def _back(self, why: str) -> Result:
        """To the versions before, where it isn't that already: so it can be done again after any part of it."""
        changed = [service for service, now in self._now().items() if self._job.before.get(service) not in (None, now)]
        wrong = self._seaway("rollback", "--json", *changed, stoppable=False) if changed else ""
        now = self._now()
        other = sorted(service for service, version in self._job.before.items() if now.get(service) != version)
        if wrong or other:
            said = wrong or f"not as before: {', '.join(other)}"
            return Result(state="stuck", says=f"{why}; {said}" if why else said, now=now)
        return Result(state="restored", says=why, now=now)

    def shut_down(self, *_: object) -> None:
        """End soon: no step is begun any more, and nothing is said of the one under way."""
        self._ending = True
        if self._child is None:
            os._exit(128 + signal.SIGTERM)
        self._child.send_signal(signal.SIGTERM)

    def _seaway(self, *arguments: str, stoppable: bool = True) -> str:
        """Run `seaway`; what it says where it fails."""
        deadline = time.monotonic() + _PATIENCE
        while _OTHERS in (wrong := self._once(arguments, stoppable)) and time.monotonic() < deadline:
            time.sleep(1.0)
        return wrong

    def _once(self, arguments: tuple[str, ...], stoppable: bool) -> str:
        """Run it once, keep what it says of each service, and give its last words where it failed."""
        last: dict[str, Any] = {}
        with (self._directory / PROGRESS).open("a") as progress, (self._directory / "errors").open("a") as errors:
            child = subprocess.Popen(
                [*self._job.program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            self._child = child
            assert child.stdout is not None
            with _watching(child, self._wanted_back if stoppable else lambda: False):
                for line in child.stdout:
                    last = _object(line) or last
                    progress.write(line)
                    progress.flush()
                code = child.wait()
            self._child = None
        if self._ending:
            os._exit(128 + signal.SIGTERM)
        if code == 0:
            return ""
        if code == INTERRUPTED and stoppable and self._wanted_back():
            return "taken back as asked"
        return str(last.get("says") or f"seaway {arguments[0]} ended with {code}: {_tail(self._directory / 'errors')}")

    def _gate(self) -> str:
        """The user's own command; why it failed."""
        command, seconds, said = self._job.gate, self._job.gate_seconds, self._directory / "gate"
        with said.open("w") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"the gate {command!r} hasn't ended within {seconds} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has left running, too
            process.wait()
        return f"the gate {command!r} ended with {code}: {_tail(said)}" if code else ""

    def _wanted_back(self) -> bool:
        return (self._directory / RESTORE).exists()

    def _now(self) -> dict[str, str]:
        return current(Path(self._job.opt), tuple(self._job.before))


@contextmanager
def _watching(child: subprocess.Popen[str], wanted_back: Callable[[], bool]) -> Iterator[None]:
    """While `seaway` runs, have it stop after its step as soon as the host is wanted back."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_PAUSE):
            if wanted_back():
                child.send_signal(signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tail(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it says nothing"


def main() -> int:
    """Run the job in the directory given; gives the exit code."""
    worker = Worker(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, worker.shut_down)
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
