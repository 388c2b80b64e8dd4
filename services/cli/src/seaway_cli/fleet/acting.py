"""`seaway fleet exec|pull|run`: the same on many hosts at once."""

from __future__ import annotations

import json
from typing import Any

import click

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.attached import Frames
from seaway_cli.engine.options import container_body
from seaway_cli.engine.verbs import fetch, pass_engine, run, tagged
from seaway_cli.fleet.answers import asking_hosts, hosts_query, tell_missing
from seaway_cli.fleet.at_once import Result, Target, do, finish

at_once = click.option("--at-once", default=16, show_default=True, metavar="N", help="hosts at work at a time")
as_json = click.option("--json", "as_json", is_flag=True, help="a JSON object for each, a line, as it is done")


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--label", multiple=True, metavar="LABEL[=VALUE]", help="containers with this label; repeatable")
@click.option("--name", multiple=True, metavar="NAME", help="containers of this name; repeatable")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="whom it runs as")
@click.option("-w", "--workdir", default="", help="the directory where it begins")
@click.option("-e", "--env", multiple=True, metavar="KEY=VALUE", help="a variable of its environment")
@at_once
@as_json
@asking_hosts
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_engine
def exec_(engine: Engine, /, command: tuple[str, ...], **options: Any) -> None:
    """Run a command in each of the running containers with some label or name.

    \b
    seaway fleet exec --on region=eu --label app=web -- nginx -s reload

    Ends with 0 where the command did everywhere.
    """
    if not (options["label"] or options["name"]):
        raise click.UsageError("say in which containers, with --label or --name")
    body = {
        "Cmd": command,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": options["env"],
        "WorkingDir": options["workdir"],
        "User": options["user"],
    }

    def work(target: Target) -> Result:
        there = engine.at(target.node)
        process = there.ask("POST", f"/containers/{target.container}/exec", body)["Id"]
        result = Result(target, lines=_read(there, f"/exec/{process}/start", {"Detach": False, "Tty": False}))
        result.code = there.ask("GET", f"/exec/{process}/json")["ExitCode"]
        return result

    targets, answer = _containers(engine, options)
    results = do(targets, work, options["at_once"], as_json=options["as_json"])
    tell_missing(answer, options["strict"])
    finish(results, as_json=options["as_json"], what="run the command")


@click.command()
@click.option("--platform", default=None, help="of an image that is there for several")
@at_once
@as_json
@asking_hosts
@click.argument("image")
@pass_engine
def pull(engine: Engine, /, image: str, platform: str | None, **options: Any) -> None:
    """Fetch an image from its registry, on many hosts."""

    def work(target: Target) -> Result:
        last = ""
        for line in engine.at(target.node).lines("POST", "/images/create", fromImage=tagged(image), platform=platform):
            if "error" in line:
                raise EngineError(line["error"])
            last = line.get("status", last)
        return Result(target, told=last.removeprefix("Status: "))

    targets, answer = _hosts(engine, options)
    results = do(targets, work, options["at_once"], as_json=options["as_json"])
    tell_missing(answer, options["strict"])
    finish(results, as_json=options["as_json"], what="pull the image")


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--label", multiple=True, metavar="KEY=VALUE", help="a label of the containers; repeatable")
@at_once
@as_json
@asking_hosts
@pass_engine
def run_(engine: Engine, /, image: str, command: tuple[str, ...], **options: Any) -> None:
    """Create and start a container on each of many hosts; without -d, wait for their ends and show what they write.

    \b
    seaway fleet run --on disk=fast -d --restart always --name cache redis

    Its options are those of `seaway run`, but for -i and -t.
    """
    body = container_body(image, command, {**options, "interactive": False, "tty": False})
    body["Labels"] = dict(each.partition("=")[::2] for each in options["label"])

    def work(target: Target) -> Result:
        there = engine.at(target.node)
        id = _create(there, image, body, options["name"])
        if options["detach"]:
            there.ask("POST", f"/containers/{id}/start")
            return Result(target, told=id[:12])
        streams = there.hijack(f"/containers/{id}/attach", stream=True, stdout=True, stderr=True)
        condition = "removed" if options["remove"] else "next-exit"
        ended = there.stream("POST", f"/containers/{id}/wait", condition=condition)
        there.ask("POST", f"/containers/{id}/start")
        result = Result(target, told=id[:12], lines=_frames(streams))
        result.code = json.loads(ended.read())["StatusCode"]
        return result

    targets, answer = _hosts(engine, options)
    results = do(targets, work, options["at_once"], as_json=options["as_json"])
    tell_missing(answer, options["strict"])
    finish(results, as_json=options["as_json"], what="run the container")


run_.params += [each for each in run.params if each.name not in ("interactive", "tty")]


def _hosts(engine: Engine, options: dict[str, Any]) -> tuple[list[Target], dict[str, Any]]:
    """The hosts that are meant and answer, and the answer that named them."""
    query = hosts_query(options["node"], options["on"], options["timeout"])
    answer = engine.ask("GET", "/fleet/hosts", **query)
    silent = {*(answer.get("Missing") or ()), *(answer.get("Errors") or {})}
    return [Target(each["Node"]) for each in answer["Items"] if each["Node"] not in silent], answer


def _containers(engine: Engine, options: dict[str, Any]) -> tuple[list[Target], dict[str, Any]]:
    """The running containers that are meant, and the answer that named them."""
    filters = {"label": list(options["label"]), "name": list(options["name"]), "status": ["running"]}
    query = hosts_query(options["node"], options["on"], options["timeout"])
    answer = engine.ask("GET", "/fleet/containers", filters={k: v for k, v in filters.items() if v}, **query)
    targets = []
    for each in answer["Items"] or ():
        name = each["Names"][0].removeprefix("/") if each.get("Names") else each["Id"][:12]
        if not options["name"] or name in options["name"]:
            targets.append(Target(each["Node"], each["Id"], name))
    return targets, answer


def _create(engine: Engine, image: str, body: dict[str, Any], name: str | None) -> str:
    try:
        return str(engine.ask("POST", "/containers/create", body, name=name)["Id"])
    except EngineError as error:
        if error.status != 404:
            raise
    fetch(engine, image, quiet=True)
    return str(engine.ask("POST", "/containers/create", body, name=name)["Id"])


def _read(engine: Engine, route: str, body: Any) -> list[tuple[int, str]]:
    return _frames(engine.hijack(route, body))


def _frames(connection: Any) -> list[tuple[int, str]]:
    """What comes on both streams, to the end."""
    frames, found = Frames(), []
    with connection:
        while data := connection.recv(65536):
            found += [(channel, piece.decode(errors="replace")) for channel, piece in frames.feed(data)]
    return found


ACTING: tuple[click.Command, ...] = (exec_, pull, run_)
