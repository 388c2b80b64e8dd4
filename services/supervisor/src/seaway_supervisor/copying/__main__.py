"""One copy: carries out the order in its argument, and ends.

The first line of its output is JSON: `{"done": …}`, or `{"error": TEXT, "kind": CODE}`. What is streamed comes behind
it. Where that breaks off, the process ends with 1 and the last line of its errors says why. An archive to extract is
its input.

    {"do": "stat", "view": …, "path": PATH}         → done: name, size, mode, mtime, link
    {"do": "copy_out", "view": …, "path": PATH}     → the same, then a tar stream
    {"do": "copy_in", "view": …, "path": PATH, "keep_kinds": BOOL, "owner": [UID, GID] or null}
    {"do": "export", "view": …}                     → a tar stream
    {"do": "diff", "view": …}                       → lines of `["C", "/etc"]`
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import stat
import sys
from collections.abc import Callable
from typing import Any

from seaway_kernel import flags, syscalls

from seaway_supervisor.copying import difference, extract, inroot, pack, paths, view
from seaway_supervisor.images.unpack import confine, inflate, tarstream

_NICENESS = 5
_READING = (confine.CAP_DAC_OVERRIDE,)
_WRITING = tuple(each for each in confine.KEPT if each != confine.CAP_SYS_ADMIN)
_LINKS = 40  # as many as the kernel follows, path_resolution(7)

Order = dict[str, Any]


class Refused(Exception):
    """What can't be done, and by which kind of error it is told."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def main() -> int:
    """0 where it was answered to the end."""
    order = json.loads(sys.argv[1])
    os.umask(0o022)
    os.nice(_NICENESS)
    confine.die_with_parent()
    syscalls.prctl(flags.PR_SET_DUMPABLE, 0)  # a container that sees the host's processes can't trace this one
    try:
        _ORDERS[order["do"]](order)
    except Refused as error:
        return _failed(error.kind, str(error))
    except view.Gone:
        return _failed("unavailable", "the container has ended meanwhile")
    except (tarstream.TarError, inflate.CorruptStream) as error:
        return _failed("invalid_argument", str(error))
    except BrokenPipeError:
        return 1
    except OSError as error:
        return _failed("unavailable" if error.errno in _DISK else "internal", _text(error))
    except MemoryError:
        return _failed("unavailable", "there isn't enough memory")
    return 0


_DISK = {errno.EIO, errno.ENOSPC, errno.EDQUOT}


# --- the orders ------------------------------------------------------------------------------------------------------


def _stat(order: Order) -> None:
    _answer({"done": _status(_enter(order, _READING), order)})


def _copy_out(order: Order) -> None:
    root = _enter(order, _READING)
    _answer({"done": _status(root, order)})
    asked = paths.absolute(order["path"])
    above, name = paths.parent(asked)
    packer = pack.Packer(1)
    place = inroot.open_in(root, os.fsencode(above), os.O_PATH | os.O_DIRECTORY)
    last = os.fsencode(name or ".")
    if stat.S_ISDIR(os.stat(last, dir_fd=place, follow_symlinks=False).st_mode):
        directory = os.open(last, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
        packer.tree(directory, paths.name(asked))
    else:
        packer.single(place, last, paths.name(asked))
    packer.end()


def _export(order: Order) -> None:
    root = _enter(order, _READING)
    _answer({"done": {}})
    packer = pack.Packer(1)
    packer.inside(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root), "")
    packer.end()


def _copy_in(order: Order) -> None:
    pieces = inflate.prepare("?")  # before the libraries can't be seen any more
    root = _enter(order, _WRITING)
    asked = paths.absolute(order["path"])
    try:
        into = inroot.open_in(root, os.fsencode(asked), os.O_PATH)
    except FileNotFoundError:
        raise _missing(order) from None
    if not stat.S_ISDIR(os.fstat(into).st_mode):
        raise Refused("invalid_argument", "extraction point is not a directory")
    os.fchdir(into)
    resolved = os.getcwdb()  # noqa: PTH109 - as bytes
    if os.statvfs(into).f_flag & os.ST_RDONLY:
        is_root = os.fstat(into).st_dev == os.fstat(root).st_dev
        what = "container rootfs" if is_root else "mounted volume"
        raise Refused("permission_denied", f"{what} is marked read-only")
    os.chdir("/")
    owner = order.get("owner")
    wishes = extract.Wishes(keep_kinds=order["keep_kinds"], owner=tuple(owner) if owner else None)
    source = os.fdopen(0, "rb", buffering=0)
    extract.Extractor(root, resolved.rstrip(b"/"), wishes).extract(tarstream.TarStream(pieces(source, _unheard)))
    _answer({"done": {}})


def _diff(order: Order) -> None:
    given = view.View(**order["view"])
    found = difference.Differences(given.upper, given.lower).sorted()
    _answer({"done": {}})
    for kind, path in found:
        _write(json.dumps((kind, _shown(path))).encode() + b"\n")


_ORDERS: dict[str, Callable[[Order], None]] = {
    "stat": _stat,
    "copy_out": _copy_out,
    "copy_in": _copy_in,
    "export": _export,
    "diff": _diff,
}


# --- what they share -------------------------------------------------------------------------------------------------


def _enter(order: Order, keep: tuple[int, ...]) -> int:
    """Make the container's files all there is of the file system, for ever; a descriptor of their root."""
    given = dict(order["view"])
    attached = [view.Attached(**each) for each in given.pop("attached")]
    confine.confine(view.build(view.View(**given, attached=attached)), keep)
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _status(root: int, order: Order) -> Order:
    """What there is at the path asked for; its last part isn't followed where it is a link."""
    asked = paths.absolute(order["path"])
    above, name = paths.parent(asked)
    try:
        place = inroot.open_in(root, os.fsencode(above), os.O_PATH | os.O_DIRECTORY)
        found = os.stat(name or ".", dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        raise _missing(order) from None
    except NotADirectoryError:
        raise Refused("invalid_argument", f"lstat {asked}: not a directory") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL):
            raise Refused("invalid_argument", f"lstat {asked}: {os.strerror(error.errno).lower()}") from None
        raise
    link = _target(asked) if stat.S_ISLNK(found.st_mode) else ""
    return {
        "name": _shown(paths.name(asked)),
        "size": found.st_size,
        "mode": found.st_mode,
        "mtime": found.st_mtime_ns,
        "link": _shown(link),
    }


def _target(path: str) -> str:
    """Where a path leads when all links are followed, whether there is something or not. For people: it may change."""
    todo = list(reversed(path.strip("/").split("/")))
    at, links = "/", 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        here = posixpath.normpath(posixpath.join(at, part))
        try:
            link = os.readlink(here)  # noqa: PTH115 - as text
        except OSError:
            at = here
            continue
        links += 1
        if links > _LINKS:
            return here
        at = "/" if link.startswith("/") else at
        todo += reversed(link.split("/"))
    return at


def _missing(order: Order) -> Refused:
    return Refused("not_found", f"Could not find the file {order['path']} in container {order['name']}")


def _failed(kind: str, text: str) -> int:
    """Say why: in the first line where nothing was said, else in the errors."""
    failure = {"error": _shown(text[:1000]), "kind": kind}
    if _answered:
        sys.stderr.write(json.dumps(failure) + "\n")
        return 1
    _answer(failure)
    return 0


_answered: list[bool] = []


def _answer(answer: Order) -> None:
    _answered.append(True)
    _write(json.dumps(answer).encode() + b"\n")


def _write(data: bytes) -> None:
    view_ = memoryview(data)
    while view_:
        view_ = view_[os.write(1, view_) :]


def _text(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename!s}: {text.lower()}" if error.filename else text[:1].lower() + text[1:]


def _shown(text: str) -> str:
    """A name as text: bytes that are none are replaced, as in Docker."""
    return os.fsencode(text).decode(errors="replace")


def _unheard(count: int) -> None:
    """Nobody asks how far it is."""


if __name__ == "__main__":
    sys.exit(main())
