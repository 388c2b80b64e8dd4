"""Files of secrets: keys that are made once and kept, and text that is never readable by others, not for an instant."""

from __future__ import annotations

import contextlib
from pathlib import Path

from seaway_service import durable

from seaway_bus.credentials import Key, operator_token


def kept_key(directory: Path, name: str, kind: str) -> Key:
    """The key kept under a name; made where there is none."""
    path = directory / f"{name}.nk"
    with contextlib.suppress(FileNotFoundError):
        return Key.of(path.read_text().strip())
    key = Key.generate(kind)
    durable.write(path, key.seed + "\n", 0o600)
    return key


def kept_operator_token(directory: Path, operator: Key, system: Key) -> str:
    """The operator's token, made once: a server that is told of another one refuses to reload anything."""
    path = directory / "operator.jwt"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    token = operator_token(operator, system)
    durable.write(path, token, 0o600)
    return token
