"""An upgrade as it goes on, for eyes: hosts by services, a bar of waves, redrawn in place; lines where nobody looks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STYLES = {
    "done": "green",
    "working": "yellow",
    "restoring": "yellow",
    "restored": "magenta",
    "taken back": "magenta",
    "not well": "bold red",
    "stuck": "bold red",
    "lost": "bold red",
    "failed": "bold red",
    "away": "dim",
    "gone": "dim",
    "waiting": "dim",
}
_MARKS = {"done": "✓", "taken back": "↩", "not well": "✗"}
_MOST_ROWS = 30
Tell = Callable[[dict[str, Any] | None, str], None]


def drawn(plan: dict[str, Any], trouble: str = "") -> Group:
    """The whole picture."""
    services = sorted(plan["Services"])
    hosts = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("WAVE", "HOST", "STATE", *(name.upper() for name in services), "CONTAINERS", ""):
        hosts.add_column(title, overflow="fold")
    for host in _rows(plan["Hosts"]):
        steps = {each["Service"]: each for each in host["Services"]}
        hosts.add_row(
            str(host["Wave"] + 1),
            host["Node"],
            _word(host["State"]),
            *(_step(steps.get(name), host, plan["Services"][name], name) for name in services),
            _containers(host),
            Text(host["Says"], style="red" if host["State"] in ("stuck", "lost") else ""),
        )
    left = len(plan["Hosts"]) - _MOST_ROWS
    more = [Text(f"… and {left} hosts more", style="dim")] if left > 0 else []
    return Group(_head(plan, trouble), _bar(plan), hosts, *more)


def _rows(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that fit, what is at work first among them."""
    if len(hosts) <= _MOST_ROWS:
        return hosts
    rank = {"working": 0, "restoring": 0, "stuck": 1, "lost": 1, "restored": 2, "waiting": 4}
    chosen = sorted(hosts, key=lambda host: rank.get(host["State"], 3))[:_MOST_ROWS]
    return [host for host in hosts if host in chosen]


def _head(plan: dict[str, Any], trouble: str) -> Text:
    head = Text.assemble("upgrade ", (plan["Id"], "bold"), " is ", _word(plan["State"]), f" · wave {plan['Wave'] + 1}")
    head.append(f" of {plan['Waves']} · led by {plan['Leader']}")
    if plan["State"] == "resting":
        head.append(f" · next wave in {max(0, plan['RestUntil'] - time.time()):.0f} s")
    if plan["Says"]:
        head.append(f" · {plan['Says']}", style="red" if plan["State"] != "done" else "")
    if trouble:
        head.append(f"\n{trouble}", style="dim")
    return head


def _bar(plan: dict[str, Any]) -> Table:
    total = len(plan["Hosts"])
    done = sum(host["State"] in ("done", "gone") for host in plan["Hosts"])
    style = "red" if plan["State"] in ("rolling back", "rolled back", "failed") else "green"
    bar = Table.grid(padding=(0, 1))
    progress = ProgressBar(total=max(1, total), completed=done, width=60, complete_style=style, finished_style=style)
    bar.add_row(progress, f"{done} of {total} hosts")
    return bar


def _word(state: str) -> Text:
    return Text(state, style=STYLES.get(state, ""))


def _step(step: dict[str, Any] | None, host: dict[str, Any], version: str, service: str) -> Text:
    if step:
        mark = _MARKS.get(step["State"], step["State"])
        return Text(f"{mark} {step['After']}", style=STYLES.get(step["State"], ""))
    now = host["Now"].get(service, "")
    return Text(f"{'✓ ' if now == version else ''}{now}" if now else "·", style="dim")


def _containers(host: dict[str, Any]) -> Text:
    if host["Restarted"]:
        return Text(f"{host['Kept']} kept, {len(host['Restarted'])} restarted", style="red")
    return Text(f"{host['Kept']} kept" if host["Kept"] else "")


def show(plan: dict[str, Any]) -> None:
    """Print it once."""
    Console(highlight=False).print(drawn(plan))


@contextmanager
def watching(as_json: bool) -> Iterator[Tell]:
    """What is to be told of a plan as it changes: a picture, or a line a change where the output is no terminal."""
    if as_json or not sys.stdout.isatty():
        yield _lines(as_json)
        return
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        last: list[dict[str, Any]] = []

        def tell(plan: dict[str, Any] | None, trouble: str) -> None:
            last[:] = [plan] if plan else last
            if last:
                live.update(drawn(last[0], trouble), refresh=True)

        yield tell


def _lines(as_json: bool) -> Tell:
    told = 0

    def tell(plan: dict[str, Any] | None, trouble: str) -> None:
        nonlocal told
        if plan is None:
            click.echo(f"waiting: {trouble}", err=True)
            return
        for line in plan["History"][told:]:
            told += 1
            click.echo(json.dumps(line) if as_json else _sentence(line))
        if as_json and plan["State"] in ("done", "aborted", "rolled back", "failed", "paused"):
            click.echo(json.dumps({key: plan[key] for key in ("Id", "State", "Says", "Services")}))

    return tell


def _sentence(line: dict[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(line["At"]))
    who = f"{line['Node']} " if line["Node"] else ""
    by = f" (by {line['By']})" if line["By"] else ""
    return f"{at} {who}{line['What']}{by}{': ' + line['Says'] if line['Says'] else ''}"
