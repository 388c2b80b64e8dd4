"""One program, two faces: the service on the bus, and the OCI command line."""

from __future__ import annotations

import subprocess
import sys


def _told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seaway_runtime", *arguments], capture_output=True, text=True, check=False
    )


def test_a_command_in_a_container_may_have_the_services_options() -> None:
    done = _told("--root", "/nonexistent", "exec", "nobody", "program", "--config", "/nonexistent.toml", "--settings")
    assert done.returncode == 1
    assert "nobody" in done.stderr and "settings" not in done.stderr


def test_its_settings_are_the_services() -> None:
    assert 'state_dir = "/var/lib/seaway"  # default' in _told("--settings").stdout
