"""`seaway watch`: the conversation on this host's bus, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from seaway_service.node import node_name

from seaway_cli.stack.commands import root_option
from seaway_cli.stack.layout import Layout

if TYPE_CHECKING:
    from seaway_bus.observer import Said


@click.command()
@root_option
def watch(root: Path | None) -> None:
    """Show each call, its answer's time, and each event on this host's bus. Needs root, as its credential does."""
    layout = Layout.of(root)
    try:
        settings = tomllib.loads((layout.etc / "daemon.toml").read_text())
    except OSError as error:
        raise click.ClickException(
            f"cannot watch the bus: {error.strerror}: {error.filename}; is the engine up?"
        ) from error
    credentials = layout.bus / "credentials" / "observer.creds"
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(settings["bus_url"], credentials, settings.get("node") or node_name()))


async def _watch(url: str, credentials: Path, node: str) -> None:
    from seaway_bus.observer import observe  # slow to import for the other verbs

    async for said in observe(url, credentials, node):
        click.echo("listening" if said.kind == "listening" else line(said))


def line(said: Said) -> str:
    """One thing said, on one line: when, what it took, what it was, with ids cut short as docker cuts them."""
    clock = time.strftime("%H:%M:%S", time.localtime(said.at)) + f".{int(said.at % 1 * 1000):03d}"
    took = f"{said.took * 1000:7.1f} ms" if said.took is not None else "     event"
    words = ".".join(word[:12] if len(word) == 64 else word for word in said.words.split("."))
    detail = f"refused, {said.error}" if said.error else _brief(said.request if said.kind == "event" else said.answer)
    return f"{clock} {took}  {words:<42} {detail}".rstrip()


def _brief(payload: dict[str, Any]) -> str:
    parts = [
        f"{key}={_value(value)}"
        for key, value in payload.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    return " ".join(parts)[:100]


def _value(value: str | int | float) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
