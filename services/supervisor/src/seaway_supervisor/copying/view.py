"""A container's files as one tree, in a mount namespace of this process's own: nothing is ever mounted on the host.

Of a container that runs, its root and each of its mounts are cloned out of its own mount namespace, so that a volume,
a bind or a tmpfs is seen as the container sees it, and what it has mounted elsewhere isn't. Of one that doesn't, its
layers are stacked, and its volumes, binds and files are attached to them. The kernel's file systems are in neither.

A tree to read is read-only, with the container's own layer as a lower one, so that the container may be started
meanwhile. Device nodes can't be opened in any.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seaway_kernel import flags, syscalls

from seaway_supervisor.copying import inroot

_AT_FDCWD = -100
_TREE = flags.OPEN_TREE_CLONE | flags.OPEN_TREE_CLOEXEC
_HERE = flags.MOVE_MOUNT_F_EMPTY_PATH


@dataclass(frozen=True)
class Attached:
    """What is attached at `target`: for a container that doesn't run, the `source` on the host; "" is nothing."""

    target: str
    source: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class View:
    """Which tree. `pid` is the container's first process, 0 where it doesn't run. `place` is a directory to mount on.

    `lower` are the layers below the container's own, topmost first.
    """

    id: str
    pid: int
    lower: Sequence[str]
    upper: str
    work: str
    place: str
    read_only: bool
    attached: Sequence[Attached]
    write: bool = False


class Gone(Exception):
    """The container's first process has ended meanwhile."""


def build(view: View) -> str:
    """Mount the tree; its path in the mount namespace that this process is in from now on. Raises OSError, Gone."""
    syscalls.unshare(flags.CLONE_NEWNS)
    syscalls.mount(None, "/", None, flags.MS_REC | flags.MS_PRIVATE)
    syscalls.mount("tmpfs", view.place, "tmpfs", flags.MS_NOSUID | flags.MS_NODEV, "mode=700")
    root = f"{view.place}/root"
    Path(root).mkdir()
    base, trees = _of_running(view) if view.pid else (_stacked(view), _of_host(view))
    syscalls.move_mount(base, "", _AT_FDCWD, root, _HERE)
    _attach(root, trees)
    reading = 0 if view.write else flags.MOUNT_ATTR_RDONLY
    syscalls.mount_setattr(_AT_FDCWD, root, flags.AT_RECURSIVE, set=flags.MOUNT_ATTR_NODEV | reading)
    return root


# --- a container that runs -------------------------------------------------------------------------------------------


def _of_running(view: View) -> tuple[int, list[tuple[str, int]]]:
    """Clones of the container's root, without what is mounted on it, and of its mounts, each with what is on it."""
    ours = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    process = _process(view)
    syscalls.setns(process, flags.CLONE_NEWNS)
    try:
        base = _clone(_AT_FDCWD, "/")
        trees = list(_clones(view))
    finally:
        syscalls.setns(ours, flags.CLONE_NEWNS)
    return base, trees


def _process(view: View) -> int:
    """A pidfd of the container's first process. Its number may be another's by now; its group tells."""
    try:
        process = syscalls.pidfd_open(view.pid)
        groups = Path(f"/proc/{view.pid}/cgroup").read_text()
        if view.id not in groups:
            raise Gone
        os.kill(view.pid, 0)
    except (ProcessLookupError, FileNotFoundError):
        raise Gone from None
    return process


def _clones(view: View) -> Iterator[tuple[str, int]]:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for each in view.attached:
        with contextlib.suppress(OSError):  # the container has moved or unmounted it
            place = inroot.open_in(root, os.fsencode(each.target), os.O_PATH)
            yield each.target, _clone(place, "", flags.AT_EMPTY_PATH | flags.AT_RECURSIVE)
    os.close(root)


def _clone(directory: int, path: str, how: int = 0) -> int:
    """A mount that isn't attached. Where the container's is shared, what is attached below must not go to its peers."""
    tree = syscalls.open_tree(directory, path, _TREE | how)
    attributes = flags.AT_EMPTY_PATH | flags.AT_RECURSIVE
    syscalls.mount_setattr(tree, "", attributes, propagation=flags.MS_PRIVATE)
    return tree


# --- a container that doesn't ----------------------------------------------------------------------------------------


def _stacked(view: View) -> int:
    """The container's layers as a mount that isn't attached anywhere."""
    lower = [*view.lower, _skeleton(view)]
    if not view.write or view.read_only:
        return _overlay([view.upper, *lower], read_only=True)
    return _overlay(lower, view.upper, view.work)


def _skeleton(view: View) -> str:
    """The lowest layer: places to attach to, which a container that never ran may lack."""
    skeleton = Path(view.place) / "skeleton"
    skeleton.mkdir()
    for each in view.attached:
        if not each.source:
            continue
        place = skeleton / each.target.strip("/")
        if place.is_relative_to(skeleton) and ".." not in place.parts:
            with contextlib.suppress(OSError):
                _place(place, is_file=not Path(each.source).is_dir())
    return str(skeleton)


def _place(place: Path, *, is_file: bool) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if is_file:
        place.touch()
    else:
        place.mkdir(exist_ok=True)


def _overlay(lower: Sequence[str], upper: str = "", work: str = "", *, read_only: bool = False) -> int:
    """overlayfs by fsconfig(2), whose lower directories may be many; by mount(2) where the kernel is older (6.5)."""
    overlay = syscalls.fsopen("overlay")
    options = [("source", "overlay"), *(("lowerdir+", each) for each in lower)]
    options += [("upperdir", upper), ("workdir", work)] if upper else []
    try:
        for key, value in options:
            syscalls.fsconfig(overlay, flags.FSCONFIG_SET_STRING, key, value)
        syscalls.fsconfig(overlay, flags.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(overlay, flags.MOUNT_ATTR_RDONLY if read_only else 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(overlay)
    return _classic(lower, upper, work)


def _classic(lower: Sequence[str], upper: str, work: str) -> int:
    """By mount(2). Names are relative, since all of them must fit into one page."""
    below = os.path.commonpath(lower)
    names = ":".join(os.path.relpath(each, below).replace(":", "\\:") for each in lower)
    options = f"lowerdir={names}" + (f",upperdir={upper},workdir={work}" if upper else "")
    place = lower[-1]  # the skeleton, which is this process's own
    os.chdir(below)
    syscalls.mount("overlay", place, "overlay", 0 if upper else flags.MS_RDONLY, options)
    os.chdir("/")
    return syscalls.open_tree(_AT_FDCWD, place, _TREE)


def _of_host(view: View) -> list[tuple[str, int]]:
    """Clones of what is attached, by its source on the host."""
    trees = []
    for each in view.attached:
        if not each.source:
            continue
        try:
            tree = syscalls.open_tree(_AT_FDCWD, each.source, _TREE | flags.AT_RECURSIVE)
        except FileNotFoundError:
            continue  # the source of a bind may be gone; the start would say so
        if each.read_only:
            attributes = flags.AT_EMPTY_PATH | flags.AT_RECURSIVE
            syscalls.mount_setattr(tree, "", attributes, set=flags.MOUNT_ATTR_RDONLY)
        trees.append((each.target, tree))
    return trees


def _attach(root: str, trees: list[tuple[str, int]]) -> None:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for target, tree in sorted(trees, key=lambda each: each[0].count("/")):
        try:
            place = inroot.open_in(top, os.fsencode(target), os.O_PATH)
            syscalls.move_mount(tree, "", place, "", _HERE | flags.MOVE_MOUNT_T_EMPTY_PATH)
            os.close(place)
        except OSError as error:
            # Its place has gone, or has become something else; then the container doesn't have it there either.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ELOOP):
                raise
        os.close(tree)
    os.close(top)
