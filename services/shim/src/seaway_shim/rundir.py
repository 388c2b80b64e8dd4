"""A shim's place among the living: its directory below the run directory, on tmpfs.

    <run dir>/shim/<container id>/
        lock          flock(2)ed by the shim for as long as it lives: a shim is alive while its lock is taken
        shim.pid      the shim's process id; removed when it begins to leave
        vault         the shim's descriptors of its vault, by which a new nursery gets hold of it
        birth.json    what the nursery told it (`Birth`): a new shim for the same container begins from it
        bus.creds     its own credential for the bus, good for this container's subjects alone
        start.json    the last `Start` it was asked for: plan, restart policy, health check
        state.json    the container as it is (`Life`), written anew at each change
        ledger hand.1 hand.2 backlog relay input
                      where its streams are (`ledger.py`, `output.py`, `input.py`)
        lost          how many lines of output its log has lost, once it has lost some
        exec/<id>/    the same for each further process, and what was asked for it
        stdin stdout stderr
                      FIFOs. The container's own ends of the outputs are open for reading too, so that it can go on
                      writing while there is no shim; the next one opens them again and loses nothing

Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a host share, but for `started_at`.

The shim owns it, the nursery makes it. Files are replaced by rename(2); nothing is synced, for a reboot empties the
tmpfs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from seaway_protocol.shim import Spawn, Start
from seaway_protocol.supervisor import Report
from seaway_protocol.types import Health

VERSION = 1
"""Of the files here. Raised when a shim of the version before couldn't read them."""

T = TypeVar("T", bound=msgspec.Struct)


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """The start message: everything a shim is told before it is on the bus.

    `orphan` says that the container had a shim, which died.
    """

    version: int = VERSION
    node: str
    bus_url: str
    spawn: Spawn
    orphan: bool = False


class Course(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Health checks: what they found, when the first one began to wait, and when the next one is due."""

    began: int
    due: int
    health: Health = Health()


class Life(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a new shim must know of a container it hasn't launched. `ticks` is the start time of `pid` as proc(5) has
    it.

    `due` is when the grace time of a container that is `stopping`, or the pause of one that waits for its restart, is
    over; `pause` how long the last one was, in seconds. `kills` counts what the OOM killer had done before this run,
    `kills_told` what was told of. `untold` are reports that were perhaps not acknowledged.
    """

    version: int = VERSION
    status: str
    pid: int = 0
    ticks: int = 0
    started_at: int = 0
    restart_count: int = 0
    sequence: int = 0
    stopped: bool = False
    stopping: bool = False
    due: int = 0
    pause: float = 0.0
    course: Course | None = None
    kills: int = 0
    kills_told: int = 0
    untold: tuple[Report, ...] = ()


class RunDir:
    """One shim's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.credentials = path / "bus.creds"
        self.pid_file = path / "shim.pid"

    def make(self, birth: Birth, credentials: str) -> None:
        """Make it, or write it anew where it is left from before. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write("birth.json", msgspec.json.encode(birth))
        self._write("bus.creds", credentials.encode())

    def birth(self) -> Birth:
        """What the nursery wrote."""
        return msgspec.json.decode((self.path / "birth.json").read_bytes(), type=Birth)

    def keep_start(self, start: Start) -> None:
        """Remember how the container is started."""
        self._write("start.json", msgspec.json.encode(start))

    def start(self) -> Start | None:
        """How the container was started; None where it hasn't been."""
        return self._read("start.json", Start)

    def keep_life(self, life: Life) -> None:
        """Remember how the container is."""
        self._write("state.json", msgspec.json.encode(life))

    def life(self) -> Life | None:
        """How the container was; None where it hasn't been started."""
        return self._read("state.json", Life)

    def keep_vault(self, door: int, safe: int) -> None:
        """Say by which descriptors of this process a new nursery gets hold of the vault."""
        self._write("vault", f"{door} {safe}".encode())

    def vault(self) -> tuple[int, int]:
        """The shim's descriptors of its vault. Raises OSError or ValueError where it hasn't said."""
        door, safe = (self.path / "vault").read_text().split()
        return int(door), int(safe)

    def take_lock(self) -> int | None:
        """The lock, as a descriptor to be kept open; None where somebody has it. Raises FileNotFoundError without
        directory.
        """
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    @property
    def lost(self) -> Path:
        """Where the number of lines is that the log has lost."""
        return self.path / "lost"

    def shim(self) -> int | None:
        """The living shim's pid; 0 for one that is leaving or hasn't come, None where there is none."""
        try:
            lock = self.take_lock()
        except FileNotFoundError:
            return None
        if lock is not None:
            os.close(lock)
            return None
        try:
            return int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def remove(self) -> None:
        """Take everything away; at once for whoever looks for it, who may then make it anew."""
        grave = self.path.with_name(f".{self.id}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        draft = self.path / f"{name}.tmp"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, content)
        finally:
            os.close(file)
        draft.rename(self.path / name)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except FileNotFoundError:
            return None


def all_in(run_dir: Path) -> Iterator[RunDir]:
    """Every shim's directory below the host's run directory."""
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(run_dir / "shim"):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield RunDir(Path(entry.path))


def sweep(run_dir: Path) -> None:
    """Remove what shims that were killed while they left have left."""
    for grave in (run_dir / "shim").glob(".*"):
        shutil.rmtree(grave, ignore_errors=True)


def ticks(pid: int) -> int:
    """When a process began, in clock ticks since boot: with the pid, the name of a process for ever (proc(5), stat
    field 22).

    0 where there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat[stat.rindex(b")") + 2 :].split()[19])
