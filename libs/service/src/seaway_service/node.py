"""A host's name: what `/etc/seaway/node` says, one subject token on a line."""

from __future__ import annotations

import re
from pathlib import Path

NODE_FILE = Path("/etc/seaway/node")
"""Made from the host name when Seaway is first installed. Hosts that are older than it have none."""

UNNAMED = "local"
"""The name of a host that has no such file."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,63}")


def node_name(file: Path = NODE_FILE) -> str:
    """This host's name. Raises ValueError, with what is wrong, where the file holds something else than a name."""
    try:
        name = file.read_text().strip()
    except FileNotFoundError:
        return UNNAMED
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read this host's name in {file}: {error}") from error
    if not is_node_name(name):
        raise ValueError(f"cannot use this host's name {name!r} in {file}: it must be letters, digits, - and _")
    return name


def is_node_name(name: str) -> bool:
    """Whether a host can be called so: one token of a subject, at most 63 characters."""
    return _TOKEN.fullmatch(name) is not None
