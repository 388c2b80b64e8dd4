"""Files that are whole or not there, and stay after a power cut."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(path: Path, content: bytes | str, mode: int = 0o644, owner: int | None = None) -> None:
    """Replace a file in one step; it never exists with other permissions than these. Raises OSError.

    `owner` is a user's number; the group stays the writer's own.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = content.encode() if isinstance(content, str) else content
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), owner, -1)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """What was made, renamed or removed in a directory is so after a power cut, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
