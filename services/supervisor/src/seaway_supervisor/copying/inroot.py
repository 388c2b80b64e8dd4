"""Opens paths below a directory as if it were the root: no link, and no process that swaps links, leads out of it.

openat2(2), since Linux 5.6, called as `confine` calls what it needs: without a C function of its own.
"""

from __future__ import annotations

import ctypes
import os

_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH, _RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_in(root: int, path: bytes, flags: int) -> int:
    """Open a path, links followed with `root` as the root; `/` and `..` lead to it at most. Raises OSError."""
    return _open(root, path, flags, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def open_below(directory: int, path: bytes, flags: int) -> int:
    """Open a path that has no link anywhere. Raises OSError, ELOOP where there is one now."""
    return _open(directory, path, flags, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)


def _open(directory: int, path: bytes, flags: int, resolve: int) -> int:
    how = _How(flags | os.O_CLOEXEC, 0, resolve)
    while True:
        found = _libc.syscall(_OPENAT2, directory, path or b".", ctypes.byref(how), ctypes.sizeof(how))
        if found >= 0:
            return int(found)
        error = ctypes.get_errno()
        if error not in (4, 11):  # EINTR; EAGAIN: something was renamed meanwhile, so that ".." couldn't be judged
            raise OSError(error, os.strerror(error), os.fsdecode(path))
