"""`seaway fleet upgrade` and `seaway fleet history`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.verbs import pass_engine, table
from seaway_cli.fleet import plan_file
from seaway_cli.fleet.plan_file import PlanError, PlanFile
from seaway_cli.fleet.publishing import KEY, NotPublished, packages, publish
from seaway_cli.upgrade.versions import ORDER

ENDED = ("done", "aborted", "rolled back", "failed")
EXITS = {"done": 0, "aborted": 5, "rolled back": 3, "failed": 4}
PAUSED = 6
_LOOK = 0.5
_ELECTION = 30.0
"""Seconds for which a leader is waited for: longer than a lease lasts without its holder."""

_AWAY = 120.0
"""Seconds for which the daemon, or the leader, may be away while an upgrade is watched: both are upgraded, too."""


class _BeginByDefault(click.Group):
    """`upgrade --from DIR` and `upgrade plan.toml` are `upgrade begin …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["begin", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_BeginByDefault)
def upgrade() -> None:
    """Upgrade all hosts in waves, each host proved before the next, and a wave taken back where one fails.

    `seaway fleet upgrade --from DIR` and `seaway fleet upgrade plan.toml` begin one; see `upgrade begin --help`.
    """


@upgrade.command()
@click.argument("plan", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="the packages")
@click.option("--service", "services", multiple=True, type=click.Choice(ORDER), help="this service; repeatable")
@click.option("--on", multiple=True, metavar="LABEL[=VALUE]", help="hosts with this label; repeatable")
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="this host; repeatable")
@click.option("--canary", type=click.IntRange(1), default=None, metavar="N", help="hosts of the first wave (1)")
@click.option("--batch", default=None, metavar="N|P%", help="hosts of each further wave (25%)")
@click.option("--max-unavailable", type=click.IntRange(1), default=None, help="hosts worked on at a time (1)")
@click.option("--pause-between", default=None, metavar="TIME", help="rest after each wave: 30s, 5m")
@click.option("--gate", default=None, metavar="COMMAND", help="a command that must succeed on each host afterwards")
@click.option("--gate-timeout", default=None, metavar="TIME", help="what it may take (60s)")
@click.option("--rollback", type=click.Choice(("wave", "all", "pause")), default=None, help="where a host fails (wave)")
@click.option("--host-timeout", default=None, metavar="TIME", help="what a host may take altogether (30m)")
@click.option("--away-timeout", default=None, metavar="TIME", help="how long a host at work may be silent (2m)")
@click.option("--downgrade", is_flag=True, help="also to older versions")
@click.option("--shims", is_flag=True, help="then have running shims go on as the new version, too")
@click.option("--key", type=click.Path(path_type=Path), default=KEY, help="the fleet's release key")
@click.option("--dry-run", is_flag=True, help="publish, and only show the plan")
@click.option("-d", "--detach", is_flag=True, help="don't watch it")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line, for programs")
@pass_engine
def begin(engine: Engine, /, plan: Path | None, source: Path | None, key: Path, **options: Any) -> None:
    """Begin an upgrade, from options or from a PLAN in TOML, and watch it to its end.

    Ctrl-C ends watching, not the upgrade. Exit code: 0 done; 3 rolled back; 4 some host is well in neither version; 5
    aborted; 6 paused.
    """
    dry_run, detach, as_json = (bool(options.pop(each)) for each in ("dry_run", "detach", "as_json"))
    try:
        wanted = _wanted(plan_file.read(plan) if plan else PlanFile(), options)
        directory = source or (Path(wanted.source) if wanted.source else None)
        if directory is None:
            raise click.UsageError("say where the packages are, with --from DIR or in the plan")
        found = packages(directory, tuple(wanted.services))
        release = publish(engine, found, key, lambda said: click.echo(said, err=True))
        body = plan_file.body(wanted, release)
    except (PlanError, NotPublished, OSError) as error:
        raise click.ClickException(str(error)) from error
    begun = _lead(engine, "/fleet/upgrades", body, dryRun=dry_run)
    if dry_run:
        _print(begun, as_json)
    elif detach:
        click.echo(begun["Id"])
    else:
        _follow(engine, begun["Id"], as_json)


_POLICY = ("max_unavailable", "pause_between", "gate", "gate_timeout", "rollback", "host_timeout", "away_timeout")


def _wanted(plan: PlanFile, options: dict[str, Any]) -> PlanFile:
    """The file's plan with the options' changes. Raises PlanError."""
    for name in ("services", "on", "nodes"):
        if options[name]:
            setattr(plan, name, list(options[name]))
    waves = plan_file.sized(options["canary"], options["batch"])
    plan.waves = waves or plan.waves
    for name in (
        "max_unavailable",
        "pause_between",
        "gate",
        "gate_timeout",
        "rollback",
        "host_timeout",
        "away_timeout",
    ):
        if options[name] is not None:
            setattr(plan.policy, name, options[name])
    plan.policy.downgrade |= options["downgrade"]
    plan.policy.shims |= options["shims"]
    return plan


@upgrade.command()
@click.argument("id", required=False)
@click.option("-f", "--follow", is_flag=True, help="watch it to its end")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@pass_engine
def status(engine: Engine, id: str | None, follow: bool, as_json: bool) -> None:
    """Show an upgrade, the newest unless its id is given."""
    id = id or _newest(engine)
    if follow:
        _follow(engine, id, as_json)
    else:
        _print(engine.ask("GET", f"/fleet/upgrades/{id}"), as_json)


def _decision(name: str, says: str) -> click.Command:
    @upgrade.command(name, help=says)
    @click.argument("id", required=False)
    @pass_engine
    def decide(engine: Engine, id: str | None) -> None:
        plan = _lead(engine, f"/fleet/upgrades/{id or _newest(engine)}/{name}")
        click.echo(f"{plan['Id']} is {plan['State']}")

    return decide


DECISIONS = (
    _decision("pause", "Begin no more hosts of an upgrade for now; those at work end theirs."),
    _decision("resume", "Go on with an upgrade, also with the hosts that failed."),
    _decision("abort", "End an upgrade where it is, once the hosts at work are through."),
    _decision("rollback", "Take every host of an upgrade back to what it ran before."),
)


@click.command()
@click.argument("id", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
@pass_engine
def history(engine: Engine, id: str | None, as_json: bool) -> None:
    """List the upgrades that there were, or all that happened in one: when, what, and who asked for it."""
    if id:
        lines = engine.ask("GET", f"/fleet/upgrades/{id}")["History"]
        titles, rows = ["TIME", "HOST", "WHAT", "BY", ""], [_line(each) for each in lines]
    else:
        lines = engine.ask("GET", "/fleet/upgrades")["Items"]
        titles, rows = ["UPGRADE", "BEGUN", "TOOK", "STATE", "BY", "VERSIONS", ""], [_summary(each) for each in lines]
    if as_json:
        for each in lines:
            click.echo(json.dumps(each))
    else:
        table(titles, rows)


def _line(each: dict[str, Any]) -> list[str]:
    return [_clock(each["At"]), each["Node"], each["What"], each["By"], each["Says"]]


def _summary(plan: dict[str, Any]) -> list[str]:
    took = f"{plan['EndedAt'] - plan['CreatedAt']:.0f} s" if plan["EndedAt"] else ""
    brings = " ".join(f"{name}={version}" for name, version in plan["Services"].items())
    return [plan["Id"], _clock(plan["CreatedAt"]), took, plan["State"], plan["By"], brings, plan["Says"]]


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _lead(engine: Engine, route: str, body: Any = None, **query: Any) -> dict[str, Any]:
    """Ask the fleet's leader, and the next one where nobody leads just now. Raises EngineError."""
    deadline = time.monotonic() + _ELECTION
    while True:
        try:
            found: dict[str, Any] = engine.ask("POST", route, body, **query)
            return found
        except EngineError as error:
            if error.status != 503 or "nobody leads" not in str(error) or time.monotonic() > deadline:
                raise


def _newest(engine: Engine) -> str:
    found = engine.ask("GET", "/fleet/upgrades")["Items"]
    if not found:
        raise click.ClickException("there was no upgrade yet; begin one with `seaway fleet upgrade --from DIR`")
    return str(found[0]["Id"])


def _print(plan: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plan))
        return
    from seaway_cli.fleet import progress  # rich is slow to import, and most verbs don't need it

    progress.show(plan)


def _follow(engine: Engine, id: str, as_json: bool) -> None:
    """Watch an upgrade to its end, or until it is paused; ends with the exit code that says which."""
    from seaway_cli.fleet import progress

    with progress.watching(as_json) as tell:
        away_since: float | None = None
        while True:
            try:
                plan = engine.within(30).ask("GET", f"/fleet/upgrades/{id}")
                away_since = None
            except EngineError as error:
                away_since = away_since or time.monotonic()
                if error.status not in (0, 500, 503, 504) or time.monotonic() - away_since > _AWAY:
                    raise
                tell(None, str(error))
                time.sleep(_LOOK)
                continue
            tell(plan, "")
            if plan["State"] in ENDED or plan["State"] == "paused":
                break
            time.sleep(_LOOK)
    if code := EXITS.get(plan["State"], PAUSED):
        raise SystemExit(code)


UPGRADING: tuple[click.Command, ...] = (upgrade, history)
