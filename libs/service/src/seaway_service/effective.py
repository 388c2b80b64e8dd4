"""`--settings`: what holds, as TOML that could be a settings file, each key with the file that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from seaway_service.settings import AnySettings, Loaded


def effective(loaded: Loaded[AnySettings]) -> str:
    """Every setting with its value and where that came from: a file, or the default. Tables come last, as TOML asks."""
    return "\n".join([*_table(msgspec.to_builtins(loaded.settings), loaded.sources, ""), ""])


def _table(values: dict[str, Any], sources: dict[str, Path], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if not (isinstance(value, dict) and value):
            yield f"{_key(key)} = {toml(value)}  # {sources.get(prefix + key, 'default')}"
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"\n[{'.'.join(map(_key, (*filter(None, prefix.split('.')), key)))}]"
            yield from _table(value, sources, f"{prefix}{key}.")


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def toml(value: Any) -> str:
    """A value as TOML writes it; tables inline."""
    match value:
        case dict():
            return f"{{{', '.join(f'{_key(k)} = {toml(v)}' for k, v in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
