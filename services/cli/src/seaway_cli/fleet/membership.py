"""`seaway fleet init|token|join|leave|evict|status`: which hosts there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from seaway_service import durable
from seaway_service.node import NODE_FILE, is_node_name

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.verbs import pass_engine

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}

own_address = click.option("--address", default="", metavar="HOST[:PORT]", help="where other hosts reach this one")


@click.command()
@click.argument("name")
@click.option(
    "--address",
    required=True,
    metavar="HOST[:PORT]",
    help="where other hosts reach this one; the hub takes this port (7422) and the two after it",
)
@pass_engine
def init(engine: Engine, name: str, address: str) -> None:
    """Make a fleet, with this host as its first, and as its hub.

    Other hosts come in with a token: seaway fleet token.
    """
    _show(engine.ask("POST", "/fleet/init", {"Name": name, "Address": address}))


@click.command()
@click.option("--member", is_flag=True, help="for a host that only answers, and may not ask or change others")
@click.option("--hub", is_flag=True, help="for a host that is to run a hub, too; a fleet has one or three")
@click.option("--for", "lasting", default="1h", show_default=True, metavar="TIME", help="how long: 90s, 15m, 2h, 7d")
@click.option("--many", is_flag=True, help="for any number of hosts; by default one uses it up")
@click.option("-q", "--quiet", is_flag=True, help="only the token")
@pass_engine
def token(engine: Engine, member: bool, hub: bool, lasting: str, many: bool, quiet: bool) -> None:
    """Make a token, with which another host can join this fleet. Keep it secret: whoever has it can."""
    body = {"Role": "member" if member else "controller", "Hub": hub, "Seconds": seconds(lasting), "Once": not many}
    made = engine.ask("POST", "/fleet/tokens", body)
    if quiet:
        click.echo(made["Token"])
        return
    own = " --address HOST" if hub else ""
    click.echo(f"On the other host, until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(made['Expires']))}:\n")
    click.echo(f"    seaway fleet join{own} {made['Token']}\n")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[HUB] TOKEN")
@own_address
@click.option("--node", default="", help="call this host so from now on; only while no container exists")
@pass_engine
def join(engine: Engine, words: tuple[str, ...], address: str, node: str) -> None:
    """Have this host join a fleet, with a token that was made there.

    HUB is where one of its hubs is reached, where that isn't what the token says. A TOKEN that is - is read from
    standard input.
    """
    if len(words) > 2:
        raise click.UsageError("give a token, and before it at most one address")
    given = sys.stdin.readline().strip() if words[-1] == "-" else words[-1]
    if node:
        _rename(engine, node)
    body = {"Token": given, "Address": words[0] if len(words) == 2 else "", "Own": address}
    _show(engine.ask("POST", "/fleet/join", body))


@click.command()
@click.option("--force", is_flag=True, help="also where the fleet can't be reached; it then has to evict this host")
@pass_engine
def leave(engine: Engine, force: bool) -> None:
    """Have this host leave its fleet. What runs on it goes on."""
    _show(engine.ask("POST", "/fleet/leave", {"Force": force}))


@click.command()
@click.argument("node")
@pass_engine
def evict(engine: Engine, node: str) -> None:
    """Shut a host out of the fleet. What runs on it goes on, but it can't come back without a new token."""
    engine.ask("POST", f"/fleet/hosts/{node}/evict")
    click.echo(f"{node} is shut out")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON, for programs")
@pass_engine
def status(engine: Engine, as_json: bool) -> None:
    """Show this host's place in the fleet."""
    place = engine.ask("GET", "/fleet")
    if as_json:
        click.echo(json.dumps(place, indent=2))
    else:
        _show(place)


def _show(place: dict[str, Any]) -> None:
    for line in lines(place):
        click.echo(line)


def lines(place: dict[str, Any]) -> list[str]:
    """A host's place in the fleet, for people."""
    if not place["Fleet"]:
        return [f"{place['Node']} is in no fleet"]
    role = f"{place['Role']}, and one of its hubs" if place["Hub"] else place["Role"]
    reached = f"connected, led by {place['Leader'] or 'nobody just now'}"
    return [
        f"{place['Node']} is in the fleet {place['Fleet']}, as {role}",
        f"hubs: {', '.join(place['Addresses'])}",
        reached if place["Connected"] else "not connected: it works on alone until a hub can be reached",
    ]


def seconds(text: str) -> int:
    """`90s`, `15m`, `2h` and `7d` in seconds. Raises click.BadParameter for anything else."""
    if match := re.fullmatch(r"([0-9]+)([smhd]?)", text):
        return int(match[1]) * _UNITS[match[2] or "s"]
    raise click.BadParameter(f"{text!r} isn't a time; say 90s, 15m, 2h or 7d", param_hint="--for")


def _rename(engine: Engine, node: str) -> None:
    """Give this host a name, and have its services know it. Raises click.ClickException where that can't be done."""
    place = engine.ask("GET", "/fleet")
    if place["Node"] == node:
        return
    if not is_node_name(node):
        raise click.ClickException(f"cannot call this host {node!r}: a name has letters, digits, - and _")
    if place["Fleet"]:
        raise click.ClickException(f"cannot call this host {node}: it is in a fleet as {place['Node']}; leave it first")
    if running := engine.ask("GET", "/containers/json", all=True):
        raise click.ClickException(f"cannot call this host {node}: it has {len(running)} containers; remove them first")
    if not Path("/run/systemd/system").exists():
        raise click.ClickException(f"cannot call this host {node}: start it anew with: seaway up --node {node}")
    try:
        durable.write(NODE_FILE, f"{node}\n")
    except OSError as error:
        raise click.ClickException(f"cannot call this host {node}: {error.strerror}: {NODE_FILE}") from error
    subprocess.run(["systemctl", "restart", "seaway-*.service"], check=False)
    _wait_renamed(engine, node)


def _wait_renamed(engine: Engine, node: str, patience: float = 60.0) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            if engine.ask("GET", "/fleet")["Node"] == node:
                return
        except EngineError:
            pass
        time.sleep(0.1)
    raise click.ClickException(f"cannot join as {node}: the engine isn't back after {patience:g} s; see: seaway status")


MEMBERSHIP: tuple[click.Command, ...] = (init, token, join, leave, evict, status)
