# ruff: noqa: PTH208 - names are relative to descriptors
"""Puts what is in a tar stream into a directory of a tree, as Docker does.

Directories on the way to an entry are followed where they are links, within the tree; the last part of a name never
is. What is there is replaced, unless both are directories, which are merged. Source: Engine API reference, "Archive".
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from seaway_supervisor.copying import inroot
from seaway_supervisor.images.unpack import tarstream
from seaway_supervisor.images.unpack.tarstream import Entry, TarError, TarStream, show

_PATH = os.O_PATH | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST_SECOND = 2**34  # what ext4's inodes can say; beyond it a time is clamped
_TYPES = {tarstream.CHARACTER: stat.S_IFCHR, tarstream.BLOCK_DEVICE: stat.S_IFBLK, tarstream.FIFO: stat.S_IFIFO}


@dataclass(frozen=True)
class Wishes:
    """`keep_kinds` refuses to replace a directory by something else and the reverse; `owner` owns all that is made."""

    keep_kinds: bool = False
    owner: tuple[int, int] | None = None


class Extractor:
    """One archive while it goes into the directory `into` of the tree at `root`; `into` has no link on its way."""

    def __init__(self, root: int, into: bytes, wishes: Wishes) -> None:
        self._root = root
        self._into = into
        self._wishes = wishes
        self._parent: tuple[bytes, int] | None = None
        self._directories: dict[bytes, Entry] = {}

    def extract(self, stream: TarStream) -> None:
        """Every entry. Raises TarError for what can't be in such an archive, OSError naming the entry."""
        for entry in stream:
            path = self._clean(entry.name)
            try:
                self._entry(stream, entry, path)
            except OSError as error:
                raise OSError(error.errno, f"cannot create {show(path)}: {os.strerror(error.errno or 0)}") from error
        for path, entry in reversed(self._directories.items()):
            self._finish(path, entry)

    def _entry(self, stream: TarStream, entry: Entry, path: bytes) -> None:
        if not path:
            return  # the directory that all goes into stays as it is
        above, _, name = path.rpartition(b"/")
        place = self._open_parent(above)
        found = _look(place, name)
        both = found is not None and stat.S_ISDIR(found.st_mode) and entry.kind == tarstream.DIRECTORY
        if found is not None and not both:
            self._may_replace(found, entry, path)
            self._remove(place, name)
        if entry.kind == tarstream.REGULAR:
            self._file(place, name, stream, entry)
        elif entry.kind == tarstream.DIRECTORY:
            self._directory(place, name, path, entry, there=both)
        elif entry.kind == tarstream.HARDLINK:
            self._link(place, name, entry)
        else:
            self._special(place, name, entry)

    def _open_parent(self, path: bytes) -> int:
        """The directory that an entry is in; made where it isn't there."""
        if self._parent and self._parent[0] == path:
            return self._parent[1]
        try:
            place = self._open(path)
        except FileNotFoundError:
            above, _, name = path.rpartition(b"/")
            try:
                os.mkdir(name, 0o755, dir_fd=self._open_parent(above))
            except FileExistsError:  # a link that leads nowhere
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
            place = self._open(path)
        if self._parent:
            os.close(self._parent[1])
        self._parent = path, place
        return place

    def _open(self, path: bytes) -> int:
        return inroot.open_in(self._root, self._into + b"/" + path, _PATH)

    def _may_replace(self, found: os.stat_result, entry: Entry, path: bytes) -> None:
        if not self._wishes.keep_kinds:
            return
        there = self._into + b"/" + path
        if stat.S_ISDIR(found.st_mode):
            raise TarError(f"cannot overwrite directory {_quoted(there)} with non-directory {_quoted(self._into)}")
        if entry.kind == tarstream.DIRECTORY:
            raise TarError(f"cannot overwrite non-directory {_quoted(there)} with directory {_quoted(self._into)}")

    def _remove(self, place: int, name: bytes) -> None:
        """Take away what is at a name, with all that is below it."""
        try:
            os.unlink(name, dir_fd=place)
            return
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            pass
        self._forget_parent()
        top = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(name, dir_fd=place)

    def _forget_parent(self) -> None:
        """What the last entry was in may be gone; its descriptor stays open for who still uses it."""
        self._parent = None

    # --- what an entry can be ----------------------------------------------------------------------------------------

    def _file(self, place: int, name: bytes, stream: TarStream, entry: Entry) -> None:
        file = os.open(name, _CREATE, 0o600, dir_fd=place)
        try:
            for piece in stream.data():
                while piece:
                    piece = piece[os.write(file, piece) :]
            os.fchown(file, *self._owner(entry))
            os.fchmod(file, entry.mode)  # after chown, which takes set-id bits away
            _set_xattrs(file, entry)  # after chown, which takes file capabilities away
            os.utime(file, ns=_times(entry))
        finally:
            os.close(file)

    def _directory(self, place: int, name: bytes, path: bytes, entry: Entry, *, there: bool) -> None:
        if not there:
            os.mkdir(name, entry.mode & 0o777, dir_fd=place)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
        try:
            os.fchown(made, *self._owner(entry))
            os.fchmod(made, entry.mode)
            _set_xattrs(made, entry)
        finally:
            os.close(made)
        self._directories[path] = entry

    def _link(self, place: int, name: bytes, entry: Entry) -> None:
        above, _, target = self._clean(entry.link).rpartition(b"/")
        source = self._open(above)
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=place, follow_symlinks=False)
        finally:
            os.close(source)

    def _special(self, place: int, name: bytes, entry: Entry) -> None:
        if entry.kind == tarstream.SYMLINK:
            os.symlink(entry.link, name, dir_fd=place)
        else:
            device = os.makedev(entry.major & 0xFFFFFFFF, entry.minor & 0xFFFFFFFF)
            os.mknod(name, _TYPES[entry.kind] | 0o600, device, dir_fd=place)
        os.chown(name, *self._owner(entry), dir_fd=place, follow_symlinks=False)
        if entry.kind != tarstream.SYMLINK:
            _chmod(place, name, entry.mode)
        os.utime(name, ns=_times(entry), dir_fd=place, follow_symlinks=False)

    def _owner(self, entry: Entry) -> tuple[int, int]:
        return self._wishes.owner or (entry.uid, entry.gid)

    def _clean(self, name: bytes) -> bytes:
        path = clean(name)
        if path is None:
            raise TarError(f"{_quoted(name)} is outside of {_quoted(self._into or b'/')}")
        return path

    def _finish(self, path: bytes, entry: Entry) -> None:
        """A directory's time, which whatever was made in it has changed."""
        above, _, name = path.rpartition(b"/")
        try:
            place = self._open(above)
        except OSError:
            return  # somebody has removed it meanwhile
        try:
            os.utime(name, ns=_times(entry), dir_fd=place, follow_symlinks=False)
        except FileNotFoundError:
            pass
        finally:
            os.close(place)


def clean(name: bytes) -> bytes | None:
    """A name relative to the directory that all goes into; "" is that itself, None leads out of it."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                return None
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _look(place: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _empty(top: int) -> None:
    """Remove all that is in an open directory, however deep, holding one descriptor per level."""
    stack = [(top, os.listdir(top))]
    while stack:
        place, names = stack[-1]
        if not names:
            stack.pop()
            if stack:
                os.close(place)
                os.rmdir(stack[-1][1].pop(), dir_fd=stack[-1][0])
            continue
        try:
            os.unlink(names[-1], dir_fd=place)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            below = os.open(names[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            stack.append((below, os.listdir(below)))
            continue
        names.pop()


def _chmod(place: int, name: bytes, mode: int) -> None:
    """Of a special file that this has just made; somebody may have put a link in its place, which isn't followed."""
    made = os.stat(name, dir_fd=place, follow_symlinks=False)
    if not stat.S_ISLNK(made.st_mode):
        os.chmod(name, mode, dir_fd=place)


def _times(entry: Entry) -> tuple[int, int]:
    at = min(max(entry.mtime, -(2**31) * 1_000_000_000), _LAST_SECOND * 1_000_000_000)
    return at, at


def _set_xattrs(file: int, entry: Entry) -> None:
    """File capabilities, users' attributes and ACLs; those of `trusted.` are the engine's own."""
    for name, value in entry.xattrs.items():
        must = name == b"security.capability"
        if not must and (not name.startswith((b"user.", b"system.posix_acl_")) or name.startswith(b"user.overlay.")):
            continue
        try:
            os.setxattr(file, name, value)
        except OSError as error:
            if must or error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def _quoted(name: bytes) -> str:
    return '"' + show(name) + '"'
