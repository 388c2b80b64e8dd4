"""`seaway fleet init|token|join|leave|evict|status`: which hosts there are."""

from __future__ import annotations

from typing import Any

import click

from seaway_cli.engine.api import Engine
from seaway_cli.engine.verbs import pass_engine


@click.command()
@pass_engine
def status(engine: Engine) -> None:
    """Show this host's place in the fleet."""
    show(engine.ask("GET", "/fleet"))


def show(membership: dict[str, Any]) -> None:
    """A host's place in the fleet, in a few lines."""
    if not membership.get("Fleet"):
        click.echo(f"{membership['Node']} is in no fleet")
        return
    kind = f"{membership['Role']}, one of its hubs" if membership["Hub"] else membership["Role"]
    click.echo(f"{membership['Node']} is in the fleet {membership['Fleet']} ({kind})")


MEMBERSHIP: tuple[click.Command, ...] = (status,)
