"""The everyday verbs, in docker's words: pull, run, ps, images, logs, exec, stop, kill, start, rm, rmi, inspect, …"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from typing import Any

import click

from seaway_cli.engine import names as known
from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.engine.attached import Frames, raw_terminal, relay
from seaway_cli.engine.options import container_body

pass_engine = click.make_pass_decorator(Engine)


def table(titles: list[str], rows: list[list[str]], *, err: bool = False) -> None:
    """Columns as wide as their widest cell, three spaces apart, as docker prints them: for eyes and for awk."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in (titles, *rows))
    click.echo("\n".join(lines), err=err)


@click.command()
@pass_engine
def version(engine: Engine) -> None:
    """Show the engine's version."""
    answer = engine.ask("GET", "/version")
    for component in answer["Components"]:
        click.echo(f"{component['Name']:<12} {component['Version']}")
    click.echo(f"{'API':<12} {answer['ApiVersion']} (from {answer['MinAPIVersion']})")


@click.command()
@pass_engine
def info(engine: Engine) -> None:
    """Show what the engine is and has, as JSON."""
    click.echo(json.dumps(engine.ask("GET", "/info"), indent=2))


@click.command()
@click.argument("image", shell_complete=known.images)
@click.option("--platform", default=None, metavar="OS/ARCH[/VARIANT]", help="the platform, where it isn't the host's")
@click.option("-q", "--quiet", is_flag=True, help="no progress")
@pass_engine
def pull(engine: Engine, image: str, platform: str | None, quiet: bool) -> None:
    """Fetch an image from a registry."""
    fetch(engine, image, platform, quiet)


def fetch(engine: Engine, image: str, platform: str | None = None, quiet: bool = False) -> None:
    """Pull `image`, telling each step that isn't mere progress."""
    last = ""
    for line in engine.lines("POST", "/images/create", fromImage=tagged(image), platform=platform):
        if "error" in line:
            raise EngineError(line["error"])
        if not quiet and not line.get("progressDetail"):
            text = f"{line['id']}: {line['status']}" if line.get("id") else line["status"]
            if text != last:
                click.echo(text, err=True)
            last = text


def tagged(image: str) -> str:
    """The image with the tag that is meant where none is given."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True, help="leave it running and print its id")
@click.option("-i", "--interactive", is_flag=True, help="keep standard input open")
@click.option("-t", "--tty", is_flag=True, help="give it a terminal")
@click.option("--rm", "remove", is_flag=True, help="remove it when it ends")
@click.option("--name", default=None, help="what it is called; without it the engine makes a name up")
@click.option("-e", "--env", multiple=True, metavar="KEY=VALUE", help="a variable of its environment; repeatable")
@click.option(
    "-v", "--volume", multiple=True, metavar="SOURCE:TARGET[:ro]", help="a volume or a path of the host; repeatable"
)
@click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[ADDRESS:]HOST:CONTAINER[/udp]",
    help="a port of the host that leads to one of its own; repeatable",
)
@click.option(
    "--network",
    default="bridge",
    shell_complete=known.networks,
    help="its network: a name, host, none or container:NAME",
)
@click.option("-w", "--workdir", default="", help="the directory where its command begins")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="whom its command runs as")
@click.option("--entrypoint", default=None, help="the program, in place of the image's")
@click.option("--hostname", default="", help="what it calls itself")
@click.option("-m", "--memory", default="0", metavar="BYTES", help="the most memory; with a suffix b, k, m or g")
@click.option("--cpus", default=0.0, help="the most processor time, in processors; 0 is no limit")
@click.option("--privileged", is_flag=True, help="let it do what the host's root may")
@click.option("--read-only", is_flag=True, help="its root file system can't be written to")
@click.option("--init", is_flag=True, help="put an init in front of its command")
@click.option(
    "--restart",
    default="no",
    metavar="POLICY",
    shell_complete=known.policies,
    help="when it is started again: no, always, unless-stopped or on-failure[:TIMES]",
)
@click.argument("image", shell_complete=known.images)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_engine
def run(engine: Engine, /, image: str, command: tuple[str, ...], **options: Any) -> None:
    """Create a container, start it, and stay attached to it."""
    body = container_body(image, command, options)
    container = _create(engine, image, body, options["name"])
    if options["detach"]:
        engine.ask("POST", f"/containers/{container}/start")
        click.echo(container)
        return
    stdin, terminal = options["interactive"], options["tty"]
    streams = engine.hijack(f"/containers/{container}/attach", stream=True, stdin=stdin, stdout=True, stderr=True)
    # Before the start: a container that is gone a moment later still tells its exit code to those who wait already.
    ended = engine.stream(
        "POST", f"/containers/{container}/wait", condition="removed" if options["remove"] else "next-exit"
    )
    engine.ask("POST", f"/containers/{container}/start")
    with (
        raw_terminal(lambda w, h: engine.ask("POST", f"/containers/{container}/resize", w=w, h=h))
        if terminal
        else nullcontext()
    ):
        relay(streams, stdin=stdin, terminal=terminal)
    sys.exit(json.loads(ended.read())["StatusCode"])


def _create(engine: Engine, image: str, body: dict[str, Any], name: str | None) -> str:
    try:
        answer = engine.ask("POST", "/containers/create", body, name=name)
    except EngineError as error:
        if error.status != 404:
            raise
        click.echo(f"Unable to find image '{tagged(image)}' locally", err=True)
        fetch(engine, image)
        answer = engine.ask("POST", "/containers/create", body, name=name)
    for warning in answer.get("Warnings") or ():
        click.echo(f"warning: {warning}", err=True)
    return str(answer["Id"])


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-i", "--interactive", is_flag=True, help="keep standard input open")
@click.option("-t", "--tty", is_flag=True, help="give it a terminal")
@click.option("-e", "--env", multiple=True, metavar="KEY=VALUE", help="a variable of its environment; repeatable")
@click.option("-w", "--workdir", default="", help="the directory where it begins")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="whom it runs as")
@click.argument("container", shell_complete=known.running)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_engine
def exec_(engine: Engine, /, container: str, command: tuple[str, ...], **options: Any) -> None:
    """Run one more command in a container."""
    stdin, terminal = options["interactive"], options["tty"]
    body = {
        "Cmd": command,
        "AttachStdin": stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": terminal,
        "Env": options["env"],
        "WorkingDir": options["workdir"],
        "User": options["user"],
    }
    process = engine.ask("POST", f"/containers/{container}/exec", body)["Id"]
    streams = engine.hijack(f"/exec/{process}/start", {"Detach": False, "Tty": terminal})
    with (
        raw_terminal(lambda w, h: engine.ask("POST", f"/exec/{process}/resize", w=w, h=h))
        if terminal
        else nullcontext()
    ):
        relay(streams, stdin=stdin, terminal=terminal)
    sys.exit(engine.ask("GET", f"/exec/{process}/json")["ExitCode"] or 0)


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="those that don't run too")
@click.option("-q", "--quiet", is_flag=True, help="ids alone")
@pass_engine
def ps(engine: Engine, everything: bool, quiet: bool) -> None:
    """List containers."""
    containers = engine.ask("GET", "/containers/json", all=everything)
    if quiet:
        click.echo("\n".join(each["Id"][:12] for each in containers))
        return
    rows = [
        [
            each["Id"][:12],
            each["Image"],
            each["Command"],
            each["Status"],
            port_list(each["Ports"]),
            each["Names"][0].lstrip("/"),
        ]
        for each in containers
    ]
    table(["CONTAINER ID", "IMAGE", "COMMAND", "STATUS", "PORTS", "NAMES"], rows)


def port_list(ports: list[dict[str, Any]]) -> str:
    """Ports as `docker ps` shows them."""
    return ", ".join(
        f"{each['IP']}:{each['PublicPort']}->{each['PrivatePort']}/{each['Type']}"
        if each.get("PublicPort")
        else f"{each['PrivatePort']}/{each['Type']}"
        for each in ports
    )


@click.command()
@pass_engine
def images(engine: Engine) -> None:
    """List images."""
    rows = []
    for each in engine.ask("GET", "/images/json"):
        age = f"{(time.time() - each['Created']) / 86400:.0f} days"
        for tag in each["RepoTags"] or ["<none>:<none>"]:
            name, _, label = tag.rpartition(":")
            rows.append([name, label, each["Id"].removeprefix("sha256:")[:12], age, f"{each['Size'] / 1e6:.1f} MB"])
    table(["REPOSITORY", "TAG", "IMAGE ID", "AGE", "SIZE"], rows)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="go on with what it writes from now on")
@click.option("--tail", default="all", metavar="LINES", help="so many lines from the end")
@click.option("-t", "--timestamps", is_flag=True, help="with the time of each line")
@click.argument("container", shell_complete=known.containers)
@pass_engine
def logs(engine: Engine, container: str, follow: bool, tail: str, timestamps: bool) -> None:
    """Show a container's output."""
    terminal = engine.ask("GET", f"/containers/{container}/json")["Config"]["Tty"]
    response = engine.stream(
        "GET",
        f"/containers/{container}/logs",
        stdout=True,
        stderr=True,
        follow=follow,
        tail=tail,
        timestamps=timestamps,
    )
    frames = Frames()
    while data := response.read1(65536):
        for channel, piece in [(1, data)] if terminal else frames.feed(data):
            (sys.stderr.buffer if channel == 2 else sys.stdout.buffer).write(piece)
        sys.stdout.flush()


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=known.containers_and_images)
@pass_engine
def inspect(engine: Engine, names: tuple[str, ...]) -> None:
    """Show all there is to know about containers or images, as JSON."""
    found = []
    for name in names:
        try:
            found.append(engine.ask("GET", f"/containers/{name}/json"))
        except EngineError as error:
            if error.status != 404:
                raise
            found.append(engine.ask("GET", f"/images/{name}/json"))
    click.echo(json.dumps(found, indent=2))


@click.command()
@pass_engine
def events(engine: Engine) -> None:
    """Show what happens, as it happens, a JSON line each."""
    for event in engine.lines("GET", "/events"):
        click.echo(json.dumps(event))


def _each(name: str, method: str, route: str, summary: str, complete: known.Complete) -> click.Command:
    """A verb that does one thing to each of the things named, and echoes the names."""

    def act(names: tuple[str, ...], **options: Any) -> None:
        engine = click.get_current_context().find_object(Engine)
        assert engine is not None
        for each in names:
            engine.ask(method, route.format(each), **options)
            click.echo(each)

    named = click.argument("names", nargs=-1, required=True, shell_complete=complete)
    return click.command(name, help=summary)(named(act))


start = _each("start", "POST", "/containers/{}/start", "Start containers.", known.stopped)
stop = click.option("-t", "t", type=int, default=None, help="seconds to wait before killing")(
    _each("stop", "POST", "/containers/{}/stop", "Stop containers, gently first.", known.running)
)
kill = click.option("-s", "--signal", default="KILL", help="which one, by name or number")(
    _each("kill", "POST", "/containers/{}/kill", "Send a signal to containers.", known.running)
)
restart = _each("restart", "POST", "/containers/{}/restart", "Stop and start containers.", known.containers)
rm = click.option("-f", "--force", is_flag=True, help="kill it first")(
    click.option("-v", "v", is_flag=True, help="its anonymous volumes too")(
        _each("rm", "DELETE", "/containers/{}", "Remove containers.", known.containers)
    )
)
rmi = click.option("-f", "--force", is_flag=True, help="also where several tags or containers need it")(
    _each("rmi", "DELETE", "/images/{}", "Remove images.", known.images)
)

VERBS: tuple[click.Command, ...] = (
    version,
    info,
    pull,
    run,
    exec_,
    ps,
    images,
    logs,
    inspect,
    events,
    start,
    stop,
    kill,
    restart,
    rm,
    rmi,
)
