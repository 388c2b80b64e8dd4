"""Our wheels, the same bytes from the same sources, and what each service needs besides them."""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debs.programs import run

_OURS = re.compile(r"seaway-([a-z]+)")
_NOT_SOURCES = ("build", "*.egg-info", "*.so", "__pycache__")


@dataclass(frozen=True)
class Project:
    """A project of the checkout, as its pyproject.toml describes it."""

    path: Path
    table: dict[str, Any]

    @property
    def name(self) -> str:
        """The distribution's name."""
        return str(self.table["name"])

    @property
    def version(self) -> str:
        """The version: one place in the sources says it."""
        return str(self.table["version"])

    @property
    def scripts(self) -> dict[str, str]:
        """Commands, and the function that each of them calls."""
        return dict(self.table.get("scripts", {}))

    def requirements(self, extra: str = "") -> list[str]:
        """What it asks for, and what one of its extras does."""
        wanted = list(self.table.get("dependencies", []))
        return wanted + (self.table["optional-dependencies"][extra] if extra else [])


def project(sources: Path, path: str) -> Project:
    """The project at a path of the checkout."""
    with (sources / path / "pyproject.toml").open("rb") as file:
        return Project(sources / path, tomllib.load(file)["project"])


def closure(sources: Path, path: str, extra: str = "") -> tuple[list[Project], list[str]]:
    """A project with all of ours that it needs, and what they need of others, sorted."""
    found: dict[str, Project] = {}
    others: set[str] = set()

    def visit(path: str, extra: str) -> None:
        here = project(sources, path)
        found[here.name] = here
        for requirement in here.requirements(extra):
            if ours := _OURS.fullmatch(requirement):
                if requirement not in found:
                    visit(f"libs/{ours.group(1)}", "")
            else:
                others.add(requirement)

    visit(path, extra)
    return list(found.values()), sorted(others)


def copy(sources: Path, target: Path, version: str = "") -> None:
    """What goes into packages, copied, since building writes beside it; with another version where one is given."""
    for part in ("libs", "services", "systemd", "packaging/locks", "packaging/manual", "packaging/settings"):
        shutil.copytree(sources / part, target / part, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
    for file in target.glob("*/*/pyproject.toml"):
        if version:
            _restate(file, version)


def _restate(file: Path, version: str) -> None:
    """Another version of a project, in both places that say it."""
    file.write_text(re.sub(r'^version = ".*"', f'version = "{version}"', file.read_text(), flags=re.M))
    for module in file.parent.glob("src/*/__init__.py"):
        text = module.read_text()
        module.write_text(re.sub(r'^(__version__|VERSION) = ".*"', rf'\1 = "{version}"', text, flags=re.M))


def build(uv: Path, sources: Path, projects: list[Project], dist: Path) -> dict[str, Path]:
    """A wheel of each project, by name. Raises CalledProcessError where one can't be built."""
    # No debug information and no build id: both would hold the directory that we happen to build in.
    flags = {"CFLAGS": f"-O2 -g0 -ffile-prefix-map={sources}=.", "LDFLAGS": "-Wl,--build-id=none"}
    constraints = sources / "packaging" / "locks" / "build.txt"
    made = {}
    for each in projects:
        command = (uv, "build", "-q", "--wheel", "--python", "/usr/bin/python3", "--build-constraints", constraints)
        run(*command, "--require-hashes", "--out-dir", dist, each.path, environment=flags)
        (made[each.name],) = dist.glob(f"{each.name.replace('-', '_')}-{each.version}-*.whl")
    return made
