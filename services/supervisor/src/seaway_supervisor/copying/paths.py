"""What Docker makes of the path of a copy. Pure.

Source: Engine API reference, "Archive"; docker cp(1).
"""

from __future__ import annotations

import posixpath


def absolute(path: str) -> str:
    """The path from the root, tidied; a `/` or `/.` at its end says "this is a directory" and stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if path.rstrip("/").rpartition("/")[2] == ".":
        clean = clean.rstrip("/") + "/."
    if path.endswith("/") and not clean.endswith("/"):
        clean += "/"
    return clean


def parent(path: str) -> tuple[str, str]:
    """The part of an absolute path whose links are followed, and the last one, whose isn't; "" behind a slash."""
    directory, _, name = path.rpartition("/")
    return directory + "/", name


def name(path: str) -> str:
    """What an absolute path's archive calls its first entry: the last part, `.` for what is in it, `/` for the root."""
    return path.rstrip("/").rpartition("/")[2] or "/"


def entry(root: str, below: str) -> str:
    """The name in the archive of what is at `below`, relative to what is called `root` there; "" is no name."""
    return f"{root.rstrip('/')}/{below}" if root else below
