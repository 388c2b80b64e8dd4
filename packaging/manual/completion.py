"""What a shell reads to complete `seaway`, as static files where Debian's shells look for them.

Each file asks `seaway` itself for the words, so verbs and options are those of the version that is installed, and names
are the engine's.
"""

from __future__ import annotations

from pathlib import Path

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete
from seaway_cli.__main__ import seaway

_VARIABLE = "_SEAWAY_COMPLETE"
_PLACES: dict[str, type[ShellComplete]] = {
    "bash-completion/completions/seaway": BashComplete,
    "zsh/vendor-completions/_seaway": ZshComplete,
    "fish/vendor_completions.d/seaway.fish": FishComplete,
}


def write(share: Path) -> None:
    """The files below `share`, which becomes /usr/share."""
    for place, kind in _PLACES.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source(kind))


def source(kind: type[ShellComplete]) -> str:
    """A shell's file. `ShellComplete.source` would ask the builder's bash for its version; the user's counts."""
    complete = kind(seaway, {}, "seaway", _VARIABLE)
    return (complete.source_template % complete.source_vars()).strip() + "\n"
