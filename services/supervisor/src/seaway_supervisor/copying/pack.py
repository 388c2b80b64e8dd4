"""Writes a tree as a tar stream: ustar, with PAX records where something doesn't fit (POSIX.1-2017 pax).

As in Docker: entries in the order of their names, hard links to the first name, whole seconds, no names of owners,
sockets left out. What vanishes meanwhile is left out too; a file that shrinks is filled with zeros.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile

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
        self._open: tuple[bytes, int] | None = None

    def tree(self, directory: int, root: str) -> None:
        """A directory and all that is in it; the archive's name of the directory itself is `root`."""
        self._add(directory, b".", root)
        self.inside(directory, root)

    def inside(self, directory: int, root: str) -> None:
        """All that is in a directory, without itself: each directory's content behind it."""
        waiting = [(b"", self._names(directory))]
        while waiting:
            path, names = waiting[-1]
            if not names:
                waiting.pop()
                self._leave()
                continue
            name = names.pop()
            below = path + b"/" + name if path else name
            try:
                place = self._enter(directory, path)
                if self._add(place, name, paths.entry(root, os.fsdecode(below))):
                    waiting.append((below, self._names(self._enter(directory, below))))
            except OSError as error:
                if error.errno not in _VANISHED:
                    raise
        self._leave()

    def single(self, directory: int, name: bytes, root: str) -> None:
        """One file, link or special file."""
        self._add(directory, name, root)

    def end(self) -> None:
        """Two blocks of zeros, and everything is written."""
        self._pending += bytes(2 * tarfile.BLOCKSIZE)
        self._flush()

    def _enter(self, top: int, path: bytes) -> int:
        """A directory below another, opened: one at a time, however deep the tree is."""
        if self._open is None or self._open[0] != path:
            place = inroot.open_below(top, path, _DIRECTORY)
            self._leave()
            self._open = path, place
        return self._open[1]

    def _leave(self) -> None:
        if self._open:
            os.close(self._open[1])
        self._open = None

    @staticmethod
    def _names(place: int) -> list[bytes]:
        """What is in a directory, in the order of the names, the first one last."""
        return sorted((os.fsencode(each) for each in os.listdir(place)), reverse=True)

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
