"""How an upgrade is told: sentences for people, or for programs one JSON object a line and a last one that sums up.

A step's line   {"service", "before", "after", "state", "says"}
A shim's line   {"shim", "state", "says"}
The last line   {"result", "says", "versions": {service: current version}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import click

from seaway_cli.upgrade.versions import Step


class Result(Enum):
    """How a run ended: what the last line says, and the exit code."""

    DONE = "done", 0
    """Every step was proved, or there was none to take."""
    REFUSED = "refused", 1
    """Nothing was changed."""
    TAKEN_BACK = "taken back", 3
    """A step failed; its service is what it was, and well. Steps before it stay, none came after it."""
    NOT_WELL = "not well", 4
    """A step failed, and what it left isn't well either."""
    INTERRUPTED = "interrupted", 130
    """Stopped by a signal between two steps; those before it stay."""

    def __init__(self, word: str, code: int) -> None:
        self.word = word
        self.code = code


@dataclass
class Report:
    """Says what happens as it happens."""

    as_json: bool
    versions: dict[str, str] = field(default_factory=dict)
    """The current version of each service, as of the last step that was told."""
    note: str = ""
    """What is to be said at a good end where nothing else is."""

    def step(self, step: Step, state: str, says: str) -> None:
        """What became of a step: `planned`, `done`, `taken back` or `not well`."""
        if self.as_json:
            said = {"service": step.service, "before": step.before, "after": step.after, "state": state, "says": says}
            self._line(said)
        elif state in ("planned", "done"):
            click.echo(f"{step.service}: {step.before} -> {step.after}{f', {says}' if says else ''}")

    def shim(self, id: str, state: str, says: str) -> None:
        """What became of a container's shim: `done` or `kept`."""
        if self.as_json:
            self._line({"shim": id, "state": state, "says": says})
        else:
            click.echo(f"shim of {id[:12]}: {says}")

    def end(self, result: Result, says: str) -> None:
        """The last word. Raises SystemExit with the exit code where it isn't 0."""
        says = says or ("" if result.code else self.note)
        if self.as_json:
            self._line({"result": result.word, "says": says, "versions": self.versions})
        elif says:
            click.echo(f"Error: {says}" if result.code else says, err=bool(result.code))
        if result.code:
            raise SystemExit(result.code)

    def _line(self, said: Mapping[str, object]) -> None:
        # At once, whole: a program that reads may act on each line.
        click.echo(json.dumps(said))
