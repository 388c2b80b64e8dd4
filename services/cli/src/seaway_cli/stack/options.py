"""What a person wants of `seaway up`, and the name of the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from seaway_service import durable
from seaway_service.node import is_node_name, node_name

from seaway_cli.stack.layout import Layout


@dataclass(frozen=True)
class Options:
    """`bus_port` 0 takes any free one; `extra` are settings by service; `fleet` has the fleet service run, too."""

    bus_port: int
    user: str
    nats_server: str = ""
    more_sockets: tuple[Path, ...] = ()
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    node: str = "local"
    fleet: bool = False


def settled_name(layout: Layout, wanted: str) -> str:
    """The host's name: what is wanted, else what it had. Raises click.ClickException where it can't be that.

    A name that was wanted is kept. It can't be changed under containers: their shims' credentials have it.
    """
    file = layout.etc / "node"
    try:
        kept = node_name(file)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not wanted or wanted == kept:
        return kept
    if not is_node_name(wanted):
        raise click.ClickException(f"cannot call this host {wanted!r}: a name has letters, digits, - and _")
    if layout.bus.exists() and any((layout.run / "shim").glob("?" * 64)):
        raise click.ClickException(f"cannot call this host {wanted}: it has containers as {kept}; remove them first")
    if (layout.state / "fleet").exists():
        raise click.ClickException(f"cannot call this host {wanted}: it is in a fleet as {kept}; leave it first")
    layout.etc.mkdir(parents=True, exist_ok=True)
    durable.write(file, f"{wanted}\n")
    return wanted
