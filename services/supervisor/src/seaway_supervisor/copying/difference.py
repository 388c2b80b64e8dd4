# ruff: noqa: PTH208 - names are relative to descriptors
"""What a container has added, changed and deleted, by its own layer.

The layer is the container's to write, so no link in it is followed; those below never change. Whiteouts: Linux's
Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from seaway_supervisor.images.merged import look_up

CHANGED, ADDED, DELETED = "C", "A", "D"

Change = tuple[str, str]
"""The kind, and the path from the root."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Differences:
    """The changes of one container, as Docker tells them: by what a file is, not by what was written to it.

    A directory that only stands on the way to a change has changed too; one of which only the time is new hasn't.
    """

    def __init__(self, upper: str, lower: Sequence[str]) -> None:
        self._top = os.open(upper, _DIRECTORY)
        self._lower = [Path(each) for each in lower]
        self._found: dict[str, str] = {}

    def sorted(self) -> list[Change]:
        """All of them, in the order of their paths."""
        waiting = [("", self._lower)]
        while waiting:
            path, below = waiting.pop()
            try:
                place = _descend(self._top, path)
            except OSError:
                continue  # removed meanwhile
            try:
                waiting += list(self._inside(place, path, below))
            finally:
                os.close(place)
        os.close(self._top)
        return [(kind, path) for path, kind in sorted(self._found.items(), key=lambda each: os.fsencode(each[0]))]

    def _inside(self, place: int, at: str, below: list[Path]) -> Iterator[tuple[str, list[Path]]]:
        """Judge what is in a directory of the own layer; the directories in it, and what is merged under each."""
        own = os.listdir(place)
        if _is_opaque(place):
            for name in _names(below) - set(own):
                self._tell(DELETED, f"{at}/{name}")
        for name in own:
            try:
                status = os.stat(name, dir_fd=place, follow_symlinks=False)
            except FileNotFoundError:
                continue
            found = look_up(below, name)
            path = f"{at}/{name}"
            self._judge(place, name, path, status, found)
            if stat.S_ISDIR(status.st_mode):
                yield path, found if _is_directory(found) else []

    def _judge(self, place: int, name: str, path: str, own: os.stat_result, found: list[Path]) -> None:
        if stat.S_ISCHR(own.st_mode) and own.st_rdev == 0:
            if found:
                self._tell(DELETED, path)
        elif not found:
            self._tell(ADDED, path)
        elif _differ(own, found[0].lstat()) or _capability(place, name, own) != _capability_of(found[0]):
            self._tell(CHANGED, path)
            if _is_directory(found) and not stat.S_ISDIR(own.st_mode):
                for below in _names(found):
                    self._tell(DELETED, f"{path}/{below}")

    def _tell(self, kind: str, path: str) -> None:
        self._found[path] = kind
        above = path.rpartition("/")[0]
        while above and above not in self._found:
            self._found[above] = CHANGED
            above = above.rpartition("/")[0]


def _differ(own: os.stat_result, below: os.stat_result) -> bool:
    """Whether a file isn't what the image has; a copied-up one that nobody has changed is."""
    same = ("st_mode", "st_uid", "st_gid", "st_rdev")
    if any(getattr(own, name) != getattr(below, name) for name in same):
        return True
    return not stat.S_ISDIR(own.st_mode) and (own.st_mtime_ns, own.st_size) != (below.st_mtime_ns, below.st_size)


def _names(merged: Sequence[Path]) -> set[str]:
    """What there is in a merged directory."""
    return {name for each in merged for name in os.listdir(each) if look_up(merged, name)}


def _is_directory(found: Sequence[Path]) -> bool:
    return bool(found) and stat.S_ISDIR(found[0].lstat().st_mode)


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _capability(place: int, name: str, status: os.stat_result) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        return b""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=place)
    except OSError:
        return b""
    try:
        return os.getxattr(file, "security.capability")
    except OSError:
        return b""
    finally:
        os.close(file)


def _capability_of(path: Path) -> bytes:
    try:
        return os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return b""


def _descend(top: int, path: str) -> int:
    """Open a directory of the own layer, part by part, so that none is followed where it has become a link."""
    place = os.dup(top)
    for part in path.split("/")[1:]:
        try:
            below = os.open(part, _DIRECTORY, dir_fd=place)
        finally:
            os.close(place)
        place = below
    return place
