"""The same done on many hosts, so many at a time, told as it goes on and in a table at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from seaway_cli.engine.api import EngineError
from seaway_cli.engine.verbs import table

FAILED = 1
"""The exit code where something has failed on a host."""

NOTHING = 125
"""The exit code where no host or container was meant."""


@dataclass(frozen=True)
class Target:
    """A host, and one of its containers where that is meant."""

    node: str
    container: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.node}/{self.name}" if self.name else self.node


@dataclass
class Result:
    """What has come of one target. `code` is None where it has come to none; `error` says why."""

    target: Target
    code: int | None = None
    told: str = ""
    error: str = ""
    seconds: float = 0.0
    lines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether all is as it should be."""
        return not self.error and self.code in (None, 0)

    @property
    def word(self) -> str:
        """The result in a word or two."""
        return "failed" if self.error else "done" if self.code is None else f"exit code {self.code}"

    def as_json(self) -> str:
        """All of it, for programs."""
        return json.dumps({
            "Node": self.target.node, "Container": self.target.container, "Name": self.target.name,
            "ExitCode": self.code, "Told": self.told, "Error": self.error, "Seconds": round(self.seconds, 3),
            "Stdout": "".join(text for channel, text in self.lines if channel != 2),
            "Stderr": "".join(text for channel, text in self.lines if channel == 2),
        })  # fmt: skip


Work = Callable[[Target], Result]


def do(targets: list[Target], work: Work, at_once: int, *, as_json: bool) -> list[Result]:
    """Do it on all targets; the results in their order. Each is told when it is done."""
    done: list[Result] = []
    with _watching(targets, done, quiet=as_json) as tell, ThreadPoolExecutor(max(1, at_once)) as pool:
        for future in as_completed([pool.submit(_timed, work, each) for each in targets]):
            done.append(future.result())
            tell(done[-1])
    return sorted(done, key=lambda each: targets.index(each.target))


def _timed(work: Work, target: Target) -> Result:
    began = time.monotonic()
    try:
        result = work(target)
    except EngineError as error:
        result = Result(target, error=str(error))
    except OSError as error:
        result = Result(target, error=f"the connection broke off: {error}")
    result.seconds = time.monotonic() - began
    return result


def finish(results: list[Result], *, as_json: bool, what: str) -> None:
    """Show the table, and end with the exit code that tells."""
    if not results:
        raise EngineError(f"cannot {what}: there is no such host or container; see: seaway fleet ls, seaway fleet ps")
    if not as_json:
        click.echo(err=True)
        rows = [[each.target.title, each.word, f"{each.seconds:.1f} s", each.error or each.told] for each in results]
        table(["WHERE", "RESULT", "TIME", ""], rows, err=True)
    if not all(each.well for each in results):
        sys.exit(FAILED)


@contextmanager
def _watching(targets: list[Target], done: list[Result], *, quiet: bool) -> Iterator[Callable[[Result], None]]:
    """Output as it comes; and, for a person, a line that says how far it is."""
    if quiet:
        yield lambda result: click.echo(result.as_json())
        return
    if not sys.stderr.isatty():
        yield _print
        return
    from rich.console import Console  # slow to import, and of no use to programs
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("hosts", total=len(targets))

        def tell(result: Result) -> None:
            _print(result, progress.console.print if sys.stdout.isatty() else None)
            failed = sum(not each.well for each in done)
            progress.update(task, advance=1, description=f"hosts, {failed} failed" if failed else "hosts")

        yield tell


def _print(result: Result, show: Callable[..., None] | None = None) -> None:
    """A target's output, each line with where it comes from."""
    for channel, line in _lines(result.lines):
        text = f"{result.target.title} | {line}"
        if show:
            show(text, markup=False, highlight=False)
        else:
            click.echo(text, err=channel == 2)


def _lines(pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Whole lines, with their channel: pieces of one channel that follow each other are joined."""
    rest = {1: "", 2: ""}
    for channel, text in pieces:
        *whole, rest[channel] = (rest.get(channel, "") + text).split("\n")
        yield from ((channel, line) for line in whole)
    yield from ((channel, line) for channel, line in rest.items() if line)
