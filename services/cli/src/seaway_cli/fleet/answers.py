"""What the verbs of the fleet have in common: which hosts they ask, how they print, and what is missing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from seaway_cli.engine.verbs import table

F = TypeVar("F", bound=Callable[..., Any])

INCOMPLETE = 3
"""The exit code with --strict where a host is missing."""


def asking_hosts(verb: F) -> F:
    """Options that say which hosts are asked, and how strictly."""
    for option in (
        click.option("--strict", is_flag=True, help=f"end with exit code {INCOMPLETE} where a host doesn't answer"),
        click.option("--timeout", type=float, default=None, metavar="SECONDS", help="how long hosts may take"),
        click.option("--on", multiple=True, metavar="LABEL[=VALUE]", help="hosts with this label; repeatable"),
        click.option("--node", multiple=True, metavar="NAME", help="this host; repeatable"),
    ):
        verb = option(verb)
    return verb


def filtering(*names: str, short: tuple[str, ...] = ("-f",)) -> Callable[[F], F]:
    """The option `--filter`, with these names."""
    told = f"by {', '.join(names)}; repeatable"
    return click.option(*short, "--filter", "filters", multiple=True, metavar="NAME=VALUE", help=told)


formatting = click.option(
    "--format", "form", type=click.Choice(("table", "json")), default="table", help="a table, or a JSON object a line"
)


def filters_of(words: Iterable[str]) -> dict[str, list[str]]:
    """`--filter NAME=VALUE` as the API has it. Raises BadParameter for what isn't of that form."""
    filters: dict[str, list[str]] = {}
    for word in words:
        name, given, value = word.partition("=")
        if not (name and given):
            raise click.BadParameter(f"cannot filter by {word!r}: it isn't NAME=VALUE", param_hint="--filter")
        filters.setdefault(name, []).append(value)
    return filters


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text: str | None) -> str | None:
    """A time as the API has it; one such as `10m` is so long ago."""
    if text and text[-1] in _UNITS and text[:-1].replace(".", "", 1).isdigit():
        return f"{time.time() - float(text[:-1]) * _UNITS[text[-1]]:.3f}"
    return text


def hosts_query(node: tuple[str, ...], on: tuple[str, ...], timeout: float | None) -> dict[str, Any]:
    """The options of `asking_hosts` as parameters of the API."""
    return {"node": node, "on": on, "timeout": timeout}


def options_query(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same, of all options that `asking_hosts` gave a verb."""
    return hosts_query(options["node"], options["on"], options["timeout"])


def show(
    answer: dict[str, Any], form: str, titles: list[str], row: Callable[[dict[str, Any]], Iterable[list[str]]]
) -> None:
    """The items of an answer, as a table of their rows or as JSON lines."""
    items = answer["Items"] or ()
    if form == "json":
        click.echo("\n".join(map(json.dumps, items)), nl=bool(items))
    else:
        table(titles, [cells for item in items for cells in row(item)])


def tell_missing(answer: dict[str, Any], strict: bool) -> None:
    """Say last who hasn't answered; that ends a strict verb with its own exit code."""
    missing, errors = answer.get("Missing") or (), answer.get("Errors") or {}
    sys.stdout.flush()
    for node, reason in errors.items():
        click.echo(f"seaway: {node}: {reason}", err=True)
    if missing:
        click.echo(f"seaway: not complete: no answer from {_named(missing)}", err=True)
    if strict and (missing or errors):
        sys.exit(INCOMPLETE)


def _named(nodes: Iterable[str], most: int = 10) -> str:
    names = list(nodes)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def bytes_of(number: int) -> str:
    """Bytes as docker shows them: 1.5 GB."""
    size, units = float(number), ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.4g} {units[0]}"
