"""`seaway upgrade` and `seaway rollback`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.verbs import pass_engine
from seaway_cli.stack.layout import Layout
from seaway_cli.stack.programs import opt
from seaway_cli.upgrade import record, steps, versions
from seaway_cli.upgrade.report import Report, Result
from seaway_cli.upgrade.steps import Outcome, Walk
from seaway_cli.upgrade.versions import ORDER, Refused, Step

service_names = click.argument("services", nargs=-1, type=click.Choice(ORDER))
dry_run_option = click.option("--dry-run", is_flag=True, help="only say what would be done")
json_option = click.option("--json", "as_json", is_flag=True, help="one JSON object a line, for programs")


@click.command()
@service_names
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="the directory with the packages to install",
)
@click.option("--shims", is_flag=True, help="then have the shims go on as the new version, in place")
@click.option("--at-once", type=click.IntRange(1), default=2, help="so many shims at a time")
@click.option("--downgrade", is_flag=True, help="also to versions older than the current ones")
@dry_run_option
@json_option
@pass_engine
def upgrade(
    engine: Engine,
    services: tuple[str, ...],
    source: Path | None,
    shims: bool,
    at_once: int,
    downgrade: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install newer packages, one service after the other; containers go on.

    After each the unit must be ready, say its new version on the bus, and run a container, and no container may have
    another process than before. Else the service is taken back to the version before, and nothing more is done.

    An upgrade that was interrupted is finished by running it again, and undone by `seaway rollback`.

    Exit code: 0 done; 1 refused, nothing changed; 3 a service was taken back, and is well; 4 something isn't well;
    130 interrupted between two services.
    """
    if source is None and not shims:
        raise click.UsageError("say where the packages are with --from DIR, or --shims for the shims alone")
    report = Report(as_json, _installed())

    def planned() -> list[Step]:
        if source is None:
            return []
        found = versions.packages(sorted(source.iterdir()))
        begun = record.begun(record.read(opt()))
        planned = versions.plan(found, report.versions, services, begun)
        if absent := versions.absent(found, report.versions, services):
            report.note = f"not installed on this host, and left out: {', '.join(absent)}"
        versions.check(planned, report.versions, downgrade)
        steps.check_room(planned, opt())
        return planned

    def finish() -> str:
        return _shims(engine, at_once, report) if shims else ""

    _run(engine, report, planned, Walk.upgrade, dry_run, finish)


@click.command()
@service_names
@dry_run_option
@json_option
@pass_engine
def rollback(engine: Engine, services: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Undo the last upgrade: its services go back to the version before, which still stands beside the current one.

    Where services are named, those alone; where there was no `seaway upgrade`, each to the version that it had before.
    Exit codes are those of `seaway upgrade`.
    """
    report = Report(as_json, _installed())

    def planned() -> list[Step]:
        undone = {each.service: each for each in record.undoing(opt(), record.read(opt()))}
        names = services or tuple(undone) or ORDER
        found = [
            undone.get(each) or _to_previous(each, any_=bool(services)) for each in reversed(ORDER) if each in names
        ]
        return [step for step in found if step]

    _run(engine, report, planned, Walk.rollback, dry_run)


def _to_previous(service: str, *, any_: bool) -> Step | None:
    """To the version before; `any_`: to a newer one, too, where there is no older one, as after a rollback."""
    now, before = versions.current(opt(), service), versions.previous(opt(), service)
    if not before or not (any_ or versions.key(before) < versions.key(now)):
        return None
    return Step(service, now, before)


def _installed() -> dict[str, str]:
    return {name: now for name in ORDER if (now := versions.current(opt(), name))}


def _run(
    engine: Engine,
    report: Report,
    planned: Callable[[], list[Step]],
    take: Callable[[Walk, Step], Outcome],
    dry_run: bool,
    finish: Callable[[], str] = str,
) -> None:
    """Take the steps that are planned, alone on this host, and say how it ended."""
    try:
        if dry_run:
            for step in planned():
                report.step(step, "planned", "")
            report.end(Result.DONE, "")
            return
        if os.geteuid():
            raise Refused("cannot replace services: this needs root, so run it with sudo")
        with steps.alone(Layout.of(None).run / "upgrade.lock") as lock, steps.uninterrupted() as asked_to_stop:
            walk = Walk(engine, opt(), str(time.time_ns()), lock)
            outcome = _walk(walk, planned(), take, report, asked_to_stop)
            if outcome.result is Result.DONE and (wrong := finish()):
                outcome = Outcome(Result.NOT_WELL, wrong)
    except Refused as error:
        outcome = Outcome(Result.REFUSED, str(error))
    except OSError as error:
        outcome = Outcome(Result.NOT_WELL, f"cannot go on: {error.strerror}: {error.filename or opt()}")
    report.end(outcome.result, outcome.says)


def _walk(
    walk: Walk,
    planned: list[Step],
    take: Callable[[Walk, Step], Outcome],
    report: Report,
    asked_to_stop: Callable[[], bool],
) -> Outcome:
    for done, step in enumerate(planned):
        if asked_to_stop():
            left = ", ".join(each.service for each in planned[done:])
            return Outcome(Result.INTERRUPTED, f"stopped as asked; not replaced: {left}")
        try:
            outcome = take(walk, step)
        except Refused as error:
            if not done:
                raise
            return Outcome(Result.NOT_WELL, str(error))  # steps before it stay
        report.versions[step.service] = versions.current(walk.opt, step.service)
        report.step(step, outcome.result.word, outcome.says)
        if outcome.result is not Result.DONE:
            return outcome
    return Outcome(Result.DONE, "" if planned else "nothing to do: every service is at that version")


def _shims(engine: Engine, at_once: int, report: Report) -> str:
    """Have every shim go on as the version that is current; what is to be said of those that don't."""
    try:
        shown = engine.ask("POST", "/seaway/shims/upgrade", atOnce=at_once)["Shims"]
    except EngineError as error:
        return f"cannot upgrade shims: {error}"
    for each in shown:
        kept = f"goes on as it was: {each['Error']}" if each["Error"] else ""
        report.shim(each["Id"], "kept" if kept else "done", kept or each["Version"])
    failed = [each for each in shown if each["Error"]]
    return f"{len(failed)} of {len(shown)} shims weren't upgraded; their containers go on" if failed else ""
