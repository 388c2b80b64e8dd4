"""Settings of a service: a frozen struct, read from TOML files in order, the later winning.

Strict: an unknown key, a value of the wrong type or outside of its limits is refused with the file, the key's name and
what would be right. No service reads environment variables beyond what systemd gives it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from seaway_service.node import NODE_FILE, UNNAMED, node_name
from seaway_service.values import AbsolutePath, LogFormat, LogLevel, OptionalPath, OptionalToken, Url


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service is told. Each service derives its own from this and adds its fields."""

    node: OptionalToken = UNNAMED
    """This host's name on the bus: one subject token. Empty, or left out, is what `/etc/seaway/node` says."""

    bus_url: Url = "nats://127.0.0.1:4522"
    """Where nats-server listens."""

    credentials: OptionalPath = ""
    """The service's own NATS credentials file; empty only for a bus that asks for none."""

    run_dir: AbsolutePath = "/run/seaway"
    """What lives no longer than the host is up."""

    state_dir: AbsolutePath = "/var/lib/seaway"
    """What lasts."""

    log_level: LogLevel = "info"
    """What is logged, from everything to failures alone."""

    log_format: LogFormat = ""
    """How: entries of the journal, lines of text, or lines of JSON; empty takes the journal where there is one."""


AnySettings = TypeVar("AnySettings", bound=Settings)


class SettingsError(Exception):
    """A settings file can't be read or doesn't fit; the text names the file and the key."""


@dataclass(frozen=True)
class Loaded(Generic[AnySettings]):
    """Settings, and the file that had the last word on each key that a file has; tables' keys with dots."""

    settings: AnySettings
    sources: dict[str, Path]


def load(kind: type[AnySettings], files: Iterable[Path]) -> AnySettings:
    """The settings of `files`, in order, each followed by its drop-ins `<name>.d/*.toml`.

    A later file's key takes the place of an earlier one's; tables are merged, key by key. Missing files are an error,
    missing drop-ins not.
    """
    return load_with_sources(kind, files).settings


def load_with_sources(kind: type[AnySettings], files: Iterable[Path]) -> Loaded[AnySettings]:
    """The same, with where each came from. Raises SettingsError."""
    merged: dict[str, Any] = {}
    sources: dict[str, Path] = {}
    for path in (each for file in files for each in (file, *_drop_ins(file))):
        table = _read(kind, path)
        _merge(merged, table)
        sources |= dict.fromkeys(_keys(table), path)
    if not merged.get("node"):
        merged["node"] = _node()
        sources |= {"node": NODE_FILE} if merged["node"] != UNNAMED else {}
    return Loaded(_checked(kind, merged, "together"), sources)


def _node() -> str:
    try:
        return node_name()
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _read(kind: type[Settings], path: Path) -> dict[str, Any]:
    """One file, checked by itself, so that what is wrong is found where it is."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read settings {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot use settings {path}: {error}") from error
    _checked(kind, table, str(path))
    return table


def _checked(kind: type[AnySettings], table: dict[str, Any], where: str) -> AnySettings:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        from seaway_service.refusal import refusal  # what nobody needs while all is well

        raise SettingsError(f"cannot use settings {where}: {refusal(error, kind, table)}") from error


def _merge(into: dict[str, Any], table: dict[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _drop_ins(file: Path) -> list[Path]:
    return sorted(file.with_name(f"{file.stem}.d").glob("*.toml"))
