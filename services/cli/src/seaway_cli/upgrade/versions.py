"""The versions of a service that stand side by side, and which of them is started next.

<opt>/<service>/
  <version>/     an environment
  current        a link to one of them
  .step          how it came to the current one, by `seaway upgrade` (see record.py)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ORDER = ("bus", "network", "runtime", "shim", "supervisor", "fleet", "daemon", "cli")
"""Who is asked before who asks: a call that is new is there when it is first made. The bus goes before all, since it
issues credentials: what a service's new calls need it is given when it restarts."""

_PACKAGE = re.compile(r"seaway-(?P<service>[a-z]+)_(?P<version>[0-9][0-9A-Za-z.+~]*)_[a-z0-9]+\.deb")


@dataclass(frozen=True)
class Package:
    """A file of a package."""

    service: str
    version: str
    path: Path


@dataclass(frozen=True)
class Step:
    """One service from a version to another; `package` is what brings it, None where it is there already."""

    service: str
    before: str
    after: str
    package: Path | None = None
    begun: bool = False
    """Whether an earlier run was interrupted in it: who runs which of the two versions is open."""


class Refused(Exception):
    """Why nothing may be replaced, as a sentence; nothing was."""


def packages(names: list[Path]) -> list[Package]:
    """Those of the files that are packages of ours; of two versions of a service the newer one."""
    newest: dict[str, Package] = {}
    for path in names:
        if found := _PACKAGE.fullmatch(path.name):
            each = Package(found["service"], found["version"], path)
            if each.service not in newest or key(each.version) > key(newest[each.service].version):
                newest[each.service] = each
    return list(newest.values())


def key(version: str) -> tuple[tuple[int, int | str], ...]:
    """What versions are sorted by: numbers as numbers, and a pre-release (~) before its release."""
    parts = re.findall(r"\d+|~|[A-Za-z]+", version)
    said = [(1, int(part)) if part.isdigit() else (-1, "") if part == "~" else (0, part) for part in parts]
    return (*said, (0, ""))


def plan(
    found: list[Package], installed: dict[str, str], wanted: tuple[str, ...], begun: Sequence[Step] = ()
) -> list[Step]:
    """The steps from what is installed to what was found, in order; what is current already takes none.

    `begun` are steps that were interrupted. They are taken again, from the version that is known to work, whatever the
    link says now: to the version that was found, else to the one that they were to lead to.
    """
    chosen = {each.service: each for each in found if not wanted or each.service in wanted}
    open_ = {each.service: each for each in begun}
    steps = (_step(chosen.get(name), installed.get(name), open_.get(name)) for name in ORDER)
    return [step for step in steps if step]


def _step(package: Package | None, now: str | None, begun: Step | None) -> Step | None:
    if now is None:
        return None
    if begun and package:
        return Step(begun.service, begun.before, package.version, package.path, begun=True)
    if begun:
        return Step(begun.service, begun.before, begun.after, begun=True) if now == begun.after else None
    if package and package.version != now:
        return Step(package.service, now, package.version, package.path)
    return None


def absent(found: list[Package], installed: dict[str, str], wanted: tuple[str, ...]) -> list[str]:
    """Services that were found and aren't installed: to begin with one is the administrator's decision."""
    return [
        name
        for name in ORDER
        if name not in installed and any(each.service == name for each in found) and (not wanted or name in wanted)
    ]


def check(steps: Sequence[Step], installed: dict[str, str], downgrade: bool = False) -> None:
    """Raises Refused where a step leads to an older version, or services would be more than one minor version apart."""
    now = dict(installed)
    for step in steps:
        if not downgrade and key(step.after) < key(step.before):
            raise Refused(
                f"cannot upgrade {step.service} to {step.after}: {step.before} is newer; go back with: seaway "
                "rollback, or say --downgrade"
            )
        now[step.service] = step.after
        for other, version in now.items():
            if not neighbours(step.after, version):
                raise Refused(
                    f"cannot upgrade {step.service} to {step.after}: {other} is {version}, and services understand "
                    "each other across one minor version; upgrade to the versions between first"
                )


def neighbours(one: str, other: str) -> bool:
    """Whether services of two versions understand each other: at most one minor version lies between them."""
    (major, minor), (other_major, other_minor) = minor_of(one), minor_of(other)
    return major == other_major and abs(minor - other_minor) <= 1


def minor_of(version: str) -> tuple[int, int]:
    """Major and minor number; 0 where there is none."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("~")[0])[:2]]
    return (*numbers, 0, 0)[0], (*numbers, 0, 0)[1]


def current(opt: Path, service: str) -> str:
    """The version that is started next; empty where there is none."""
    try:
        return (opt / service / "current").readlink().name
    except OSError:
        return ""


def beside(opt: Path, service: str) -> list[str]:
    """The versions there are, oldest first."""
    home = opt / service
    found = [each.name for each in home.iterdir() if each.name[0].isdigit()] if home.is_dir() else []
    return sorted(found, key=key)


def previous(opt: Path, service: str) -> str:
    """The newest version older than the current one, else the newest other one; empty where there is none."""
    now = current(opt, service)
    others = [each for each in beside(opt, service) if each != now]
    older = [each for each in others if key(each) < key(now)]
    return (older or others or [""])[-1]


def flip(opt: Path, service: str, version: str) -> None:
    """Make a version the current one, in one step: whoever looks sees the old link or the new one."""
    home = opt / service
    (home / ".current").unlink(missing_ok=True)
    (home / ".current").symlink_to(version)
    (home / ".current").replace(home / "current")
