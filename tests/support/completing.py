"""What a real bash proposes for the last word of a line."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from manual import completion

_COMPLETE = r"""
source "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
_seaway_completion seaway
printf '%s\n' "${COMPREPLY[@]}"
"""


def completed(line: str, place: Path, environment: Mapping[str, str]) -> list[str]:
    """The proposals; whatever is wrong, bash must not say so. The files that a package has are written to `place`."""
    completion.write(place)
    file = place / "bash-completion" / "completions" / "seaway"
    argv = ["bash", "--norc", "-c", _COMPLETE, "bash", str(file), line]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()
