"""`seaway fleet events|logs`: what happens, and what is written, on all hosts."""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import click

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.verbs import pass_engine
from seaway_cli.fleet.answers import (
    INCOMPLETE,
    asking_hosts,
    filtering,
    filters_of,
    formatting,
    moment,
    options_query,
)

_AGAIN = 30.0
"""Seconds for which an engine that is being restarted is waited for."""

_OVERLAP = 30
"""Seconds before the last event, from which on they are asked for again: hosts' clocks differ."""

_KEPT = 10_000
"""Events that are remembered as shown."""

_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


@click.command()
@click.option("-f", "--follow", is_flag=True, help="go on with what happens from now on")
@click.option("--since", default=None, metavar="TIME", help="from this time, or so long ago: 10m (without -f: 1h)")
@click.option("--until", default=None, metavar="TIME", help="until this time")
@filtering("type", "event", "container", "image", "label", short=())
@formatting
@asking_hosts
@pass_engine
def events(
    engine: Engine,
    /,
    form: str,
    filters: tuple[str, ...],
    follow: bool,
    since: str | None,
    until: str | None,
    **hosts: Any,
) -> None:
    """Show what happens on all hosts: in the last hour, or with -f from now on."""
    begin = moment(since) or (None if follow else moment("1h"))
    query = {"filters": filters_of(filters) or None, "until": moment(until), **options_query(hosts)}
    for each in _followed(engine, begin, query) if follow else _events(engine, begin, query, follow=False):
        click.echo(json.dumps(each) if form == "json" else _event(each))


def _events(engine: Engine, since: str | None, query: dict[str, Any], *, follow: bool) -> Iterator[dict[str, Any]]:
    return engine.lines("GET", "/fleet/events", since=since, follow="1" if follow else "0", **query)


def _followed(engine: Engine, since: str | None, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Events for ever; where the engine goes away, on from there once it is back, each once."""
    shown: OrderedDict[str, None] = OrderedDict()
    broken, last = 0.0, time.time()
    while True:
        try:
            for each in _events(engine, since, query, follow=True):
                broken, key = 0.0, json.dumps([each["Node"], each["Action"], each["Actor"]["ID"], each["timeNano"]])
                if key not in shown:
                    shown[key] = None
                    if len(shown) > _KEPT:
                        shown.popitem(last=False)
                    last = max(last, each["time"])
                    yield each
            if query["until"]:
                return
        except (EngineError, OSError, http.client.HTTPException) as error:
            if isinstance(error, EngineError) and error.status not in (0, 503):
                raise
            if broken and time.monotonic() - broken > _AGAIN:
                raise EngineError(str(error)) from error
        broken = broken or time.monotonic()
        since = f"{last - _OVERLAP:.3f}"
        time.sleep(0.3)


def _event(each: dict[str, Any]) -> str:
    actor, fraction = each["Actor"], each["timeNano"] % 10**9 // 10**6
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(each["time"]))
    facts = {key: value for key, value in actor["Attributes"].items() if key != "name" and "." not in key}
    name = actor["Attributes"].get("name", actor["ID"][:12])
    told = ", ".join(f"{key}={value}" for key, value in facts.items())
    what = f"{each['Node']} {each['Type']} {each['Action']} {name}"
    return f"{clock}.{fraction:03} {what}{f' ({told})' if told else ''}"


@click.command()
@click.option("-f", "--follow", is_flag=True, help="go on with what they write, also those started later")
@click.option("-n", "--tail", default="all", metavar="LINES", help="so many lines from the end of each")
@click.option("--since", default=None, metavar="TIME", help="from this time, or so long ago: 10m")
@click.option("--until", default=None, metavar="TIME", help="until this time")
@click.option("-t", "--timestamps", is_flag=True, help="with the time of each line")
@click.option("-a", "--all", "everything", is_flag=True, help="of containers that don't run, too")
@click.option("--no-color", is_flag=True, help="in one colour")
@filtering("ancestor", "label", "name", "status", short=())
@formatting
@asking_hosts
@click.argument("containers", nargs=-1)
@pass_engine
def logs(
    engine: Engine,
    /,
    containers: tuple[str, ...],
    form: str,
    filters: tuple[str, ...],
    follow: bool,
    tail: str,
    since: str | None,
    until: str | None,
    timestamps: bool,
    everything: bool,
    no_color: bool,
    **hosts: Any,
) -> None:
    """Show the output of many containers, on any hosts, line by line: of those named, or of all that fit."""
    lines = engine.lines(
        "GET",
        "/fleet/logs",
        container=containers,
        filters=filters_of(filters) or None,
        follow=follow,
        tail=tail,
        since=moment(since),
        until=moment(until),
        all=everything,
        **options_query(hosts),
    )
    show = _Prefixed(timestamps=timestamps, colored=not no_color)
    failed = False
    for each in lines:
        if each["Stream"] == "error":
            failed = True
            where = f"{each['Node']} {each['Container']}".rstrip()
            click.echo(f"seaway: {where}: {each['Line']}", err=True)
        else:
            click.echo(
                json.dumps(each) if form == "json" else show(each), err=each["Stream"] == "stderr" and form != "json"
            )
    if failed and hosts["strict"]:
        sys.exit(INCOMPLETE)


class _Prefixed:
    """Lines behind the names of host and container, as wide as the widest so far, each in its own colour."""

    def __init__(self, *, timestamps: bool, colored: bool) -> None:
        self._timestamps = timestamps
        self._colored = colored
        self._width = 0

    def __call__(self, each: dict[str, Any]) -> str:
        name = f"{each['Node']} {each['Container']}"
        self._width = max(self._width, len(name))
        prefix = f"{name:<{self._width}} |"
        if self._colored:
            place = hashlib.blake2s(name.encode(), digest_size=1).digest()[0] % len(_COLORS)
            prefix = click.style(prefix, fg=_COLORS[place])
        return f"{prefix} {each['Time'] + ' ' if self._timestamps else ''}{each['Line']}"


STREAMS: tuple[click.Command, ...] = (events, logs)
