"""Writes a tree as a tar stream: ustar, with PAX records where something doesn't fit (POSIX.1-2017 pax).

As in Docker: entries in the order of their names, hard links to the first name, whole seconds, no names of owners,
sockets left out. What vanishes meanwhile is left out too; a file that shrinks is filled with zeros.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator

from seaway_supervisor.copying import inroot, paths

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = _OPEN | os.O_DIRECTORY
_MOST = 1 << 24  # bytes that are sent at a time
_BUFFER = 64 * 1024
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES)
"""How opening fails where something else is at a name by now: nothing, a link, a socket, a device."""


class Packer:
    """One archive while it is written to the descriptor `out`."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._pending = bytearray()
        self._links: dict[tuple[int, int], str] = {}

    def tree(self, directory: int, root: str) -> None:
        """A directory and all that is in it; the archive's name of the directory itself is `root`."""
        self._add(directory, b".", root)
        self.inside(directory, root)

    def inside(self, directory: int, root: str) -> None:
        """All that is in a directory, without itself."""
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            try:
                place = inroot.open_below(directory, path, _DIRECTORY)
            except OSError as error:
                if error.errno not in _VANISHED:
                    raise
                continue
            try:
                below = [path + b"/" + each if path else each for each in self._directory(place, path, root)]
            finally:
                os.close(place)
            waiting += reversed(below)

    def single(self, directory: int, name: bytes, root: str) -> None:
        """One file, link or special file."""
        self._add(directory, name, root)

    def end(self) -> None:
        """Two blocks of zeros, and everything is written."""
        self._pending += bytes(2 * tarfile.BLOCKSIZE)
        self._flush()

    def _directory(self, place: int, path: bytes, root: str) -> Iterator[bytes]:
        """Add what is in an open directory; the names of directories in it."""
        for name in sorted(os.fsencode(each) for each in os.listdir(place)):
            below = os.fsdecode(path + b"/" + name if path else name)
            if self._add(place, name, paths.entry(root, below)):
                yield name

    def _add(self, directory: int, name: bytes, entry: str) -> bool:
        """Add one entry; whether it is a directory. Nothing where it has vanished."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFREG:
                self._file(directory, name, entry)
            elif kind in _KINDS:
                link = os.fsdecode(os.readlink(name, dir_fd=directory)) if kind == stat.S_IFLNK else ""
                self._header(_info(entry, found, link), found)
        except OSError as error:
            if error.errno not in _VANISHED and not (error.errno == errno.EINVAL and kind == stat.S_IFLNK):
                raise
            return False
        return kind == stat.S_IFDIR

    def _file(self, directory: int, name: bytes, entry: str) -> None:
        file = os.open(name, _OPEN, dir_fd=directory)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                return
            info = _info(entry, found)
            info.pax_headers = _xattrs(file)
            self._header(info, found)
            if info.type == tarfile.REGTYPE and info.size:
                self._data(file, info.size)
        finally:
            os.close(file)

    def _header(self, info: tarfile.TarInfo, found: os.stat_result) -> None:
        """The entry's header; of a file that has another name in the archive already, a link to that."""
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            key = found.st_dev, found.st_ino
            if (first := self._links.setdefault(key, info.name)) != info.name:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        self._pending += info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if len(self._pending) >= _BUFFER:
            self._flush()

    def _data(self, file: int, size: int) -> None:
        """The content, as long as the header says."""
        left = size
        if size <= _BUFFER:
            while left and (piece := os.read(file, left)):
                self._pending += piece
                left -= len(piece)
        else:
            self._flush()
            while left and (sent := os.sendfile(self._out, file, None, min(left, _MOST))):
                left -= sent
        while left:
            self._pending += bytes(min(left, _BUFFER))
            left -= min(left, _BUFFER)
            self._flush()
        self._pending += bytes(-size % tarfile.BLOCKSIZE)

    def _flush(self) -> None:
        view = memoryview(bytes(self._pending))
        while view:
            view = view[os.write(self._out, view) :]
        self._pending.clear()


def _info(entry: str, found: os.stat_result, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry)
    kind = stat.S_IFMT(found.st_mode)
    info.type = _KINDS[kind]
    info.mode, info.uid, info.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    info.mtime, info.linkname = int(found.st_mtime), link
    info.size = found.st_size if kind == stat.S_IFREG else 0
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    if kind == stat.S_IFDIR and not entry.endswith("/"):
        info.name = entry + "/"
    return info


def _xattrs(file: int) -> dict[str, str]:
    """File capabilities and users' attributes, as PAX records."""
    found = {}
    try:
        for name in os.listxattr(file):
            if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")):
                found[f"SCHILY.xattr.{name}"] = os.getxattr(file, name).decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA):
            raise
    return found
