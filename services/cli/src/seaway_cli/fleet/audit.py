"""`seaway fleet audit`: who asked which host for what."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.verbs import pass_engine, table
from seaway_cli.fleet.answers import asking_hosts, formatting, hosts_query, moment, tell_missing

_AT_ONCE = 16


@click.command()
@click.option("--since", default="1h", show_default=True, metavar="TIME", help="from this time, or so long ago: 10m")
@click.option("--until", default=None, metavar="TIME", help="until this time")
@click.option("--actor", default=None, metavar="NAME", help="what this person or program asked for")
@click.option("-n", "--limit", default=1000, show_default=True, help="the last so many of each host")
@click.option("--here", is_flag=True, help="this host alone, also where it is in no fleet")
@formatting
@asking_hosts
@pass_engine
def audit(
    engine: Engine,
    node: tuple[str, ...],
    on: tuple[str, ...],
    timeout: float | None,
    strict: bool,
    form: str,
    since: str,
    until: str | None,
    actor: str | None,
    limit: int,
    here: bool,
) -> None:
    """Show who asked which host for what: changes and refusals, and what lasts with its beginning and end."""
    query = {"since": moment(since), "until": moment(until), "actor": actor, "limit": limit}
    answer: dict[str, Any] = {"Items": [{"Node": ""}]}
    if not here:
        answer = engine.ask("GET", "/fleet/hosts", **hosts_query(node, on, timeout))
    refused: dict[str, str] = dict(answer.get("Errors") or {})
    missing = set(answer.get("Missing") or ())
    nodes = [each["Node"] for each in answer["Items"] if each["Node"] not in missing | set(refused)]

    def of(host: str) -> list[dict[str, Any]]:
        try:
            told = (engine.at(host) if host else engine).ask("GET", "/seaway/audit", **query)
        except EngineError as error:
            refused[host] = str(error)
            return []
        if told["Lost"]:
            click.echo(f"seaway: {host or 'this host'}: {told['Lost']} requests could not be noted", err=True)
        return [{"Host": host, **each} for each in told["Requests"]]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = sorted((each for all in pool.map(of, nodes) for each in all), key=lambda each: str(each["At"]))
    if form == "json":
        for each in found:
            click.echo(json.dumps(each))
    else:
        table(["AT", "HOST", "WHO", "FROM", "WHAT", "OBJECT", "STATUS", "TIME"], [_row(each) for each in found])
    tell_missing({**answer, "Errors": refused}, strict)


def _row(each: dict[str, Any]) -> list[str]:
    who = f"{each['Actor']} ({each['Role']})" if each["Role"] else each["Actor"]
    came = f"{each['Node']} {each['Address']}" if each["Node"] else each["Address"]
    what = f"{each['Method']} {each['Route']}" + (f" on {each['To']}" if each["To"] else "")
    status = {"begin": "begins", "end": "ended"}.get(each["Phase"], str(each["Status"] or "left"))
    if each["Phase"] == "end":
        status += f", {each['FromClient']} in, {each['ToClient']} out"
    object = each["Object"][:12] if len(each["Object"]) == 64 else each["Object"]
    detail = f"{object} {each['Detail']}".strip()
    took = "" if each["Phase"] == "begin" else f"{each['Took'] / 1e9:.3f} s"
    return [each["At"][:23], each["Host"], who, came, what, detail[:60], status, took]


AUDIT: tuple[click.Command, ...] = (audit,)
