"""What this version writes to disks and keeps over restarts, one fact a line, made from the declarations themselves.

What a version has written the next one reads, and what that one writes the version before goes on with, after a
rollback: a fact stays for ever, and what is new may be missing.
"""

from __future__ import annotations

import sqlite3
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

FILES = {
    "shim/<id>/birth.json": "seaway_shim.rundir:Birth",
    "shim/<id>/start.json": "seaway_protocol.shim:Start",
    "shim/<id>/state.json": "seaway_shim.rundir:Life",
    "shim/<id>/execs/*": "seaway_shim.execs:Memory",
    "shim/<id>/ledger": "seaway_shim.ledger:Entry",
    "shim/<id>/lifeline": "seaway_shim.lifeline:Cry",
    "shim/vault": "seaway_shim.vault:Kept",
    "shim upgrade": "seaway_shim.upgrade:Baton",
    "exit.json": "seaway_shim.record:ExitRecord",
    "sent log": "seaway_shim.shipping:Entry",
    "state.db containers.record": "seaway_supervisor.records:Kept",
    "state.db volumes.volume": "seaway_protocol.types:Volume",
    "readings/*": "seaway_supervisor.logreader:Kept",
    "ipam.db sandboxes.record": "seaway_network.store:Record",
    "ipam.db networks.record": "seaway_protocol.network:Network",
    "ipam.db outbox.payload": "seaway_protocol.network:NetworkHappened",
}
"""What is decoded from where."""

SCHEMAS = {
    "state.db": "seaway_supervisor.store:_TABLES",
    "images.db": "seaway_supervisor.images.index:_SCHEMA",
    "ipam.db": "seaway_network.store:_SCHEMA",
}
SETTINGS = {
    "daemon": "seaway_daemon.settings:DaemonSettings",
    "network": "seaway_network.settings:NetworkSettings",
    "runtime": "seaway_runtime.settings:RuntimeSettings",
    "shim": "seaway_shim.settings:ShimSettings",
    "supervisor": "seaway_supervisor.settings:SupervisorSettings",
}
"""Settings files outlive a rollback, too: packaged ones may only say what the version before knows."""


def facts() -> Iterator[str]:
    """Every fact: of files, of tables, of settings."""
    found: dict[type[msgspec.Struct], None] = {}
    for place, name in FILES.items():
        kind = _named(name)
        yield f"file {place}: {_name(kind)}"
        _collect(kind, found)
    for kind in found:
        for position, field in enumerate(msgspec.structs.fields(kind)):
            # In an array the position says what something is.
            where = f"[{position}] " if kind.__struct_config__.array_like else ""
            default = "" if field.required else " = default"
            yield f"struct {_name(kind)} {where}{field.encode_name}: {_type(field.type)}{default}"
    for file, name in SCHEMAS.items():
        yield from _tables(file, _named(name))
    for service, name in SETTINGS.items():
        yield from (f"setting {service} {field.encode_name}" for field in msgspec.structs.fields(_named(name)))


def _tables(file: str, schema: str) -> Iterator[str]:
    with sqlite3.connect(":memory:") as db:
        db.executescript(schema)
        for (table,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        ).fetchall():
            for _, column, kind, needed, default, key in db.execute(f"PRAGMA table_info({table})").fetchall():
                optional = " = default" if (not needed and not key) or default is not None else ""
                yield f"column {file} {table} {column}: {kind}{' key' if key else ''}{optional}"


def _collect(kind: Any, found: dict[type[msgspec.Struct], None]) -> None:
    if get_origin(kind) is not None:
        for argument in get_args(kind):
            _collect(argument, found)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
        found[kind] = None
        for field in msgspec.structs.fields(kind):
            _collect(field.type, found)


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _name(kind: type) -> str:
    return f"{kind.__module__.removeprefix('seaway_')}.{kind.__name__}"


def _type(kind: Any) -> str:
    if kind is Ellipsis:
        return "…"
    if get_origin(kind) is None:
        return (
            _name(kind)
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
            else getattr(kind, "__name__", str(kind))
        )
    arguments = [_type(argument) for argument in get_args(kind)]
    if get_origin(kind) is types.UnionType or getattr(get_origin(kind), "__name__", "") == "Union":
        return " | ".join(arguments)
    return f"{getattr(get_origin(kind), '__name__', get_origin(kind))}[{', '.join(arguments)}]"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("".join(f"{fact}\n" for fact in facts()))
