"""What `make packages` leaves, as a newcomer takes it: wheels for pip, packages with a manual, the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import Api

ROOT = Path(__file__).parents[2]
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(scope="module")
def dist() -> Path:
    """The packages and wheels of this checkout."""
    if "SEAWAY_PACKAGES" not in os.environ:
        pytest.skip("needs packages: packaging/two-versions DIR, and SEAWAY_PACKAGES=DIR")
    return Path(os.environ["SEAWAY_PACKAGES"]) / "new"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that bus and daemon, who aren't root, can reach."""
    with tempfile.TemporaryDirectory(prefix="seaway-dist-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _run(*argv: str | Path, timeout: float = 300, **environment: str) -> str:
    """What it prints; as on a host without any of ours."""
    given = {"HOME": "/root", "PATH": SYSTEM, "LC_ALL": "C.UTF-8", **environment}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_"))}
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=timeout, env={**kept, **given})
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(600)
def test_wheels_make_an_engine_in_one_environment(dist: Path, place: Path) -> None:
    wheels = sorted(dist.glob("seaway_*.whl"))
    programs, root = place / "venv" / "bin", place / "root"
    root.mkdir(mode=0o755)
    _run("/usr/bin/python3", "-m", "venv", place / "venv")
    # By file: a stranger's package of one of our names is never looked for.
    _run(programs / "pip", "install", "-q", "--disable-pip-version-check", *wheels)
    services = [path.name for path in (ROOT / "services").iterdir() if path.name != "cli" and path.is_dir()]
    for name in services:
        assert "works here" in _run(programs / f"seaway-{name}", "--selftest")
    try:
        _run(programs / "seaway", "up", "--root", root, "--detach")
        assert Api(root / "run" / "engine.sock").get("/_ping").status == 200
        assert "daemon" in _run(programs / "seaway", "status", "--root", root)
    finally:
        _run(programs / "seaway", "down", "--root", root, "--purge")


def test_every_program_has_a_page_and_shells_complete_it(dist: Path, place: Path) -> None:
    for package in dist.glob("*.deb"):
        _run("dpkg-deb", "-x", package, place)
    programs = [*place.glob("usr/bin/*"), *place.glob("usr/sbin/*")]
    pages = {path.name.rpartition(".")[0] for path in place.glob("usr/share/man/man*/*.gz")}
    settings = {f"seaway-{path.stem}.toml" for path in place.glob("etc/seaway/*.toml")}
    assert {path.name for path in programs} | settings <= {name.rpartition(".")[0] for name in pages}
    if shutil.which("man"):
        for path in programs:
            assert f"/{path.name}." in _run("man", "-M", place / "usr/share/man", "-w", path.name)
    for shell in ("bash-completion/completions/seaway", "zsh/vendor-completions/_seaway"):
        assert "_SEAWAY_COMPLETE" in (place / "usr/share" / shell).read_text()


@pytest.mark.timeout(900)
def test_the_same_commit_gives_the_same_bytes(place: Path) -> None:
    built = []
    for name, mask, zone in (("a", "022", "UTC"), ("b", "077", "Asia/Tokyo")):
        script = f'umask {mask}; exec "$0" --only runtime --out "$1"'
        _run("sh", "-c", script, ROOT / "packaging/packages", place / name, timeout=400, TZ=zone)
        files = sorted((place / name).iterdir())
        built.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
    assert built[0] and built[0] == built[1]
