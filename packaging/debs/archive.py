"""A package's files with Debian's own beside them, and the archive of both (deb(5), deb-control(5))."""

from __future__ import annotations

import gzip
import hashlib
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from debs.programs import run

MAINTAINER = "Seaway maintainers <maintainers@seaway.invalid>"


@dataclass(frozen=True)
class Control:
    """What a package says of itself."""

    name: str
    version: str
    architecture: str
    depends: tuple[str, ...]
    recommends: tuple[str, ...]
    summary: str
    description: str

    def text(self, kibibytes: int) -> str:
        """The control file."""
        related = {"Depends": self.depends, "Recommends": self.recommends}
        return "\n".join(
            [
                f"Package: {self.name}",
                f"Version: {self.version}",
                f"Architecture: {self.architecture}",
                f"Maintainer: {MAINTAINER}",
                f"Installed-Size: {kibibytes}",
                *(f"{field}: {', '.join(names)}" for field, names in related.items() if names),
                "Section: admin",
                "Priority: optional",
                f"Description: {self.summary}",
                *(f" {line}" for line in textwrap.wrap(self.description, 78)),
                "",
            ]
        )


def write_documents(root: Path, control: Control, epoch: int, overrides: tuple[str, ...] = ()) -> None:
    """Copyright, changelog, and what lintian may find without being told of it again."""
    doc = root / "usr/share/doc" / control.name
    doc.mkdir(parents=True)
    (doc / "copyright").write_text(_COPYRIGHT)
    date = run("date", "-Ru", f"-d@{epoch}")
    entry = f"{control.name} ({control.version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n"
    entry += f" -- {MAINTAINER}  {date}\n"
    (doc / "changelog.gz").write_bytes(gzip.compress(entry.encode(), 9, mtime=0))
    if overrides:
        path = root / "usr/share/lintian/overrides" / control.name
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([*overrides, ""]))


def write(root: Path, control: Control, scripts: dict[str, str], dist: Path, epoch: int) -> Path:
    """The archive of everything below `root`, whose /etc files are the host's to change. Returns its path."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    debian = root / "DEBIAN"
    debian.mkdir()
    sums = [f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.relative_to(root)}" for p in files]  # noqa: S324 - dpkg's
    (debian / "md5sums").write_text("\n".join([*sums, ""]))
    if conffiles := [f"/{p.relative_to(root)}" for p in files if p.is_relative_to(root / "etc")]:
        (debian / "conffiles").write_text("\n".join([*conffiles, ""]))
    (debian / "control").write_text(control.text(sum(p.stat().st_size for p in files) // 1024 + 1))
    for name, text in scripts.items():
        (debian / name).write_text(text)
    _normalise(root, epoch)
    target = dist / f"{control.name}_{control.version}_{control.architecture}.deb"
    options = ("--root-owner-group", "-Zxz", "-z6")
    run("dpkg-deb", *options, "--build", root, target, environment={"SOURCE_DATE_EPOCH": str(epoch)})
    return target


def _normalise(root: Path, epoch: int) -> None:
    """One time and one of two modes for every file: what the builder's umask and clock were is nobody's business."""
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100 or _script(path)
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _script(path: Path) -> bool:
    return path.parent.name == "DEBIAN" and path.read_bytes().startswith(b"#!")


_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Seaway

Files: *
Copyright: 2026 Seaway maintainers
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
Comment:
 Each third-party library below /opt/seaway keeps its own licence in its dist-info directory.
"""
