"""Where a container's output is kept: the log that its options ask for.

A log never holds up its container but for the time that the disk takes, and `mode=non-blocking` spares it even that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from seaway_protocol import log_options
from seaway_protocol.shim import Spawn

from seaway_shim.journald import Journald
from seaway_shim.jsonfile import JsonFile
from seaway_shim.ledger import Mark
from seaway_shim.losses import Losses
from seaway_shim.nonblocking import NonBlocking
from seaway_shim.shipping import Endpoint, Shipped, Shipper
from seaway_shim.syslog import Syslog


class Log(Protocol):
    """Where a container's output is kept.

    A shim may be killed at any instant, and the next one writes again what may have been half written: the same bytes
    at the same time `at`. A log that calls `marked` before it changes its file is told, by `resume`, where it stood
    then, and leaves out what is there already. One that can't just writes them twice.
    """

    marked: Callable[[Mark], None]

    @property
    def lost(self) -> int:
        """Lines that never came where they should have."""

    @property
    def unfinished(self) -> dict[int, bytes]:
        """By channel, the beginnings of lines that were taken and aren't in the log yet."""

    def resume(self, unfinished: dict[int, bytes], mark: Mark | None) -> None:
        """Begin with these unfinished lines. With a `mark`, the next `write` or `flush` is the one that was cut off."""

    def write(self, channel: int, data: bytes, at: int) -> None:
        """Keep what was read from channel 1 (stdout) or 2 (stderr) at `at`, nanoseconds since the epoch."""

    def flush(self, at: int) -> None:
        """The run has ended: keep what is left of unfinished lines."""

    def close(self) -> None:
        """Nothing more comes."""


class NoLog:
    """The driver `none`."""

    def __init__(self) -> None:
        self.marked: Callable[[Mark], None] = _unmarked
        self.unfinished: dict[int, bytes] = {}
        self.lost = 0

    def resume(self, unfinished: dict[int, bytes], mark: Mark | None) -> None:
        """There is nothing to go on with."""

    def write(self, channel: int, data: bytes, at: int) -> None:
        """Forget it."""

    def flush(self, at: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def open_log(spawn: Spawn, lost: Path | None = None) -> Log:
    """The log that a container's birth asks for; how many lines it loses is kept in the file `lost`.

    Raises InvalidArgument or OSError.
    """
    log_options.check(spawn.log)
    if spawn.log.driver == "none":
        return NoLog()
    losses = Losses(spawn.name or spawn.id[:12], lost)
    kept = _kept(spawn, losses)
    if (size := log_options.buffer_size(spawn.log)) is None:
        return kept
    return NonBlocking(kept, size, losses)


def _kept(spawn: Spawn, losses: Losses) -> Log:
    path = Path(spawn.log_path or Path(spawn.state_dir, f"{spawn.id}-json.log"))
    rules = log_options.rotation(spawn.log)
    if spawn.log.driver not in log_options.REMOTE:
        attributes = spawn.log_attributes | ({"tag": spawn.log_tag} if spawn.log_tag else {})
        return JsonFile(path, rules, losses, attributes)
    file = JsonFile(path, rules, losses, {})
    return Shipped(file, Shipper(_endpoint(spawn), path, Path(spawn.state_dir, "shipped"), rules.files, losses))


def _endpoint(spawn: Spawn) -> Endpoint:
    if spawn.log.driver == "journald":
        return Journald(spawn)
    return Syslog(spawn)


def _unmarked(_: Mark) -> None:
    """Nobody wants to know."""
