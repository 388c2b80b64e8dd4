"""Reads single files of an image through its layers, as a container would see them, without mounting anything.

Layers are never changed, so what has been looked at stays so. Symbolic links are followed here, part by part, with the
image's root as the root: the kernel never follows one for us.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_LINKS = 40  # as many as the kernel follows, path_resolution(7)
_OPAQUE = "trusted.overlay.opaque"


def read_file(layers: Sequence[Path], path: str, limit: int = 1024 * 1024) -> bytes | None:
    """The first `limit` bytes of a regular file, None where there is none. `layers` are topmost first."""
    found = locate(layers, path)
    if found is None or not stat.S_ISREG(found.lstat().st_mode):
        return None
    descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        return file.read(limit)


def locate(layers: Sequence[Path], path: str) -> Path | None:
    """Where a path of the image is among its layers, links followed; None where it isn't."""
    todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    here: list[list[Path]] = [list(layers)]  # the merged directories on the way, each the layers that have it
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            here = here[:-1] or here
            continue
        found = look_up(here[-1], part)
        if not found:
            return None
        mode = found[0].lstat().st_mode
        if stat.S_ISLNK(mode):
            links += 1
            if links > _LINKS:
                return None
            target = os.readlink(found[0])  # noqa: PTH115 - as text
            if target.startswith("/"):
                here = here[:1]
            todo += [each for each in reversed(target.split("/")) if each not in ("", ".")]
        elif stat.S_ISDIR(mode):
            here.append(found)
        else:
            return found[0] if not todo else None
    return here[-1][0] if here[-1] else None


def look_up(directories: Sequence[Path], name: str) -> list[Path]:
    """What a name is in a merged directory: one path, or the directories that are merged under it."""
    merged: list[Path] = []
    for directory in directories:
        path = directory / name
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            break
        if not stat.S_ISDIR(status.st_mode):
            return merged or [path]
        merged.append(path)
        if _is_opaque(path):
            break
    return merged


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
