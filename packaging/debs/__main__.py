"""Builds dist/*.whl and dist/*.deb from this checkout.

    packaging/packages [--out DIR] [--sources DIR] [--version VERSION] [--only SERVICE]… [--lock]

`--sources` are others than this checkout's. `--version` builds it under another version than the sources say (for tests
of upgrades). `--lock` writes packaging/locks/ anew instead, or those of `--only`: what each service needs of others,
each version with its hashes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from debs import archive, environment, wheels
from debs.contents import META, OPTIONAL, PACKAGES, Package
from debs.programs import run

SOURCES = Path(__file__).resolve().parents[2]
# Only the one unit is restarted, and the version before comes back where it doesn't get ready; see postinst.
_SYSTEMCTL = "{name}: maintainer-script-calls-systemctl *"
_OVERRIDES = (
    _SYSTEMCTL,
    # An add-on package's environment is at a place of its own (FHS 3.13), so that versions stand side by side.
    "{name}: dir-or-file-in-opt *",
    # Compiled ahead for the one Python it is for: what is in /opt is written by nobody but dpkg.
    "{name}: package-installs-python-pycache-dir *",
    # Each environment has its own.
    "{name}: unusual-interpreter *",
    # Wheels of others are installed as they were signed for by their hashes.
    "{name}: unstripped-binary-or-object *",
    "{name}: embedded-library *",
    "{name}: statically-linked-binary *",
)


def main() -> int:
    """Build, or lock; the exit code."""
    options = _parse()
    # uv trusts the authorities that this host trusts, as pip does (the second name is for versions before 0.9).
    os.environ |= {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    uv = Path(run(SOURCES / "packaging/tools"))
    try:
        if options.lock:
            _lock(uv, options.only)
        else:
            _build(uv, options)
    except subprocess.CalledProcessError as error:
        print(f"cannot build packages: {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="packaging/packages", allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=SOURCES / "dist")
    parser.add_argument("--sources", type=Path, default=SOURCES)
    parser.add_argument("--version", default="")
    parser.add_argument("--only", action="append", choices=[each.service for each in PACKAGES])
    parser.add_argument("--lock", action="store_true")
    return parser.parse_args()


def _lock(uv: Path, only: list[str] | None) -> None:
    locks = SOURCES / "packaging" / "locks"
    packages = [each for each in PACKAGES if not only or each.service in only]
    wanted = {each.service: wheels.closure(SOURCES, each.project, each.extra)[1] for each in packages}
    if not only:
        wanted["build"] = ["setuptools>=77"]
    for name, requirements in wanted.items():
        compile_ = (uv, "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--upgrade")
        run(*compile_, "--python-version", "3.11", "-o", locks / f"{name}.txt", "-", text="\n".join(requirements))
        print(f"locked {name}")


def epoch() -> int:
    """The time of the last commit, or the one that SOURCE_DATE_EPOCH says."""
    if said := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(said)
    return int(run("git", "-C", SOURCES, "-c", "safe.directory=*", "log", "-1", "--format=%ct"))


def _build(uv: Path, options: argparse.Namespace) -> None:
    when = epoch()
    os.environ["SOURCE_DATE_EPOCH"] = str(when)
    os.umask(0o022)
    options.out.mkdir(parents=True, exist_ok=True)
    packages = [each for each in PACKAGES if not options.only or each.service in options.only]
    # Always the same directory, as far as can be: an assertion's text in a compiled module holds its path.
    with tempfile.TemporaryDirectory(prefix="seaway-packages-") as place:
        sources = Path(place) / "sources"
        wheels.copy(options.sources, sources, options.version)
        closures = {each.service: wheels.closure(sources, each.project, each.extra)[0] for each in packages}
        projects = {project.name: project for found in closures.values() for project in found}
        made = wheels.build(uv, sources, list(projects.values()), options.out)
        for package in packages:
            ours = closures[package.service]
            root = Path(place) / package.name
            target = _package(uv, sources, package, ours, [made[each.name] for each in ours], root, options.out, when)
            print(target, flush=True)
        if not options.only:
            print(_metapackage(closures, Path(place) / META, options.out, when))


def _package(
    uv: Path,
    sources: Path,
    package: Package,
    ours: list[wheels.Project],
    made: list[Path],
    root: Path,
    dist: Path,
    when: int,
) -> Path:
    version = ours[0].version
    environment.lay_out(
        root / "opt/seaway" / package.service / ".package",
        f"/opt/seaway/{package.service}/{version}",
        uv,
        sources / "packaging/locks" / f"{package.service}.txt",
        made,
        ours[0].scripts,
    )
    for source, target in [*package.files, *((f"systemd/{u}", f"usr/lib/systemd/system/{u}") for u in package.units)]:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).write_bytes((sources / source).read_bytes())
    _write_manual(sources, package, root)
    for points_to, link in (*package.links, *package.programs(ours[0].scripts)):
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(points_to)
    control = archive.Control(
        name=package.name,
        version=version,
        architecture=_architecture(),
        depends=("libc6", environment.PYTHON, *package.depends),
        recommends=package.recommends,
        summary=package.summary,
        description=package.description,
    )
    archive.write_documents(root, control, when, tuple(line.format(name=package.name) for line in _OVERRIDES))
    return archive.write(root, control, _scripts(package, version), dist, when)


def _write_manual(sources: Path, package: Package, root: Path) -> None:
    """Man pages, and what shells complete by, as the code that is in the package says."""
    site = root / f"opt/seaway/{package.service}/.package/lib/{environment.PYTHON}/site-packages"
    manual = (f"/usr/bin/{environment.PYTHON}", "-s", "-B", sources / "packaging/manual")
    imports = {"PYTHONPATH": str(site)}
    run(*manual, "pages", package.project, root / "usr/share/man", environment=imports)
    if package.service == "cli":
        run(*manual, "completion", root / "usr/share", environment=imports)


def _metapackage(closures: dict[str, list[wheels.Project]], root: Path, dist: Path, when: int) -> Path:
    """The package that asks for all, each of them of any version: they are upgraded one by one."""
    version = closures["cli"][0].version
    control = archive.Control(
        name=META,
        version=version,
        architecture="all",
        depends=tuple(each.name for each in PACKAGES if each.service not in OPTIONAL),
        recommends=tuple(each.name for each in PACKAGES if each.service in OPTIONAL),
        summary="container engine with parts that are replaced while containers run",
        description="This metapackage asks for all services of the engine, and starts it.",
    )
    archive.write_documents(root, control, when, (_SYSTEMCTL.format(name=META),))
    return archive.write(root, control, {"postinst": _template("metapackage")}, dist, when)


def _scripts(package: Package, version: str) -> dict[str, str]:
    values = {
        "SERVICE": package.service,
        "VERSION": version,
        "UNIT": package.unit,
        "ENABLED": " ".join(package.enabled),
        "UNITS": " ".join(unit for unit in package.units if unit.endswith((".path", ".service", ".socket"))),
        "STATE": " ".join(package.state),
        "USER": package.user,
        "SELFTEST": package.selftest,
    }
    names = ("postinst", "prerm", "postrm")
    return {name: _filled(_template(name), values) for name in names}


def _template(name: str) -> str:
    return (Path(__file__).parent / "maintainer" / name).read_text()


def _filled(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _architecture() -> str:
    return run("dpkg", "--print-architecture")


if __name__ == "__main__":
    sys.exit(main())
