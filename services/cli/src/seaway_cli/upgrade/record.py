"""What is on disk of an upgrade, so that whoever comes after it, at any point, knows what to finish or to undo.

`<opt>/<service>/.step` says from which version to which a service was taken, in which run, and whether that was proved.
It is there before anything is changed, and goes with the package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from seaway_service import durable

from seaway_cli.upgrade.versions import ORDER, Step, current

_NAME = ".step"


@dataclass(frozen=True)
class Record:
    """A step of a run; `run` sorts by time."""

    service: str
    before: str
    after: str
    run: str
    proved: bool = False


def write(opt: Path, record: Record) -> None:
    """Keep a record, durably, in place of the one before. Raises OSError."""
    said = {"before": record.before, "after": record.after, "run": record.run, "proved": record.proved}
    durable.write(opt / record.service / _NAME, json.dumps(said))


def forget(opt: Path, service: str) -> None:
    """Nothing is to be finished or undone any more."""
    (opt / service / _NAME).unlink(missing_ok=True)


def read(opt: Path) -> list[Record]:
    """The records there are, in the order of services; what can't be read isn't one."""
    found = []
    for service in ORDER:
        try:
            said = json.loads((opt / service / _NAME).read_text())
            found.append(Record(service, said["before"], said["after"], said["run"], said["proved"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def begun(records: list[Record]) -> list[Step]:
    """The steps that were interrupted: whether their new version works isn't known."""
    return [Step(each.service, each.before, each.after, begun=True) for each in records if not each.proved]


def undoing(opt: Path, records: list[Record]) -> list[Step]:
    """The steps that undo the last run and whatever was interrupted, the last one first.

    A service that has been given another version since, by apt say, is left alone.
    """
    last = max((each.run for each in records), default="")
    return [
        Step(each.service, each.after, each.before, begun=not each.proved)
        for each in reversed(records)
        if (each.run == last or not each.proved) and current(opt, each.service) in (each.before, each.after)
    ]
