"""`seaway up` and `seaway down`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from seaway_cli.stack import purge
from seaway_cli.stack.checks import host_problems, unreachable
from seaway_cli.stack.layout import Layout
from seaway_cli.stack.options import Options, settled_name
from seaway_cli.stack.processes import write_pid
from seaway_cli.stack.programs import opt

READY_LINE = "ready"
BUS_PORT = 4522
DOCKER_SOCKET = Path("/var/run/docker.sock")

root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=None,
    help="a private engine, all of it below this directory, beside the host's own",
)


@click.command()
@root_option
@click.option("--detach", is_flag=True, help="go to the background once everything is ready")
@click.option(
    "--bus-port", type=int, default=None, help=f"nats-server's port on 127.0.0.1 ({BUS_PORT}; with --root any free one)"
)
@click.option("--user", default="seaway", help="whom the daemon runs as; made where it is missing")
@click.option("--nats-server", default="", help="a nats-server of your own instead of the one that came along")
@click.option(
    "--insecure-registry", "registries", multiple=True, help="a registry to speak plain HTTP with; repeatable"
)
@click.option("--docker-socket", is_flag=True, help=f"serve {DOCKER_SOCKET} as well, where nobody else does")
@click.option("--node", default="", help="this host's name in a fleet; kept (what it was, or local)")
@click.option("--fleet", is_flag=True, help="run the service that a host needs to be in a fleet, too")
@click.option("--tcp", default="", metavar="ADDRESS:PORT", help="serve there as well, with mutual TLS; needs --tls")
@click.option(
    "--tls",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
    default=None,
    help="where ca.pem, cert.pem and key.pem of --tcp are, as for docker --tlsverify",
)
def up(
    root: Path | None,
    detach: bool,
    bus_port: int | None,
    user: str,
    nats_server: str,
    registries: tuple[str, ...],
    docker_socket: bool,
    node: str,
    fleet: bool,
    tcp: str,
    tls: Path | None,
) -> None:
    """Run the whole stack on this host without systemd. Containers outlive it; see `seaway down`."""
    layout = Layout.of(root, opt())
    if (pid := running_pid(layout)) is not None:
        raise click.ClickException(
            f"cannot start: this engine runs already, as process {pid}; stop it with: seaway down"
        )
    if tcp and tls is None:
        raise click.UsageError("cannot serve on TCP without TLS; give --tls, too")
    port = bus_port if bus_port is not None else 0 if root else BUS_PORT
    sockets = (DOCKER_SOCKET,) if docker_socket else ()
    for path in sockets:
        if _answers(path):
            raise click.ClickException(
                f"cannot serve {path}: another engine answers there; stop it, or leave --docker-socket out"
            )
    for place in (root or layout.run.parent, Path(sys.prefix)):
        if why := unreachable(place):
            raise click.ClickException(why)
    if problems := host_problems(port):
        raise click.ClickException("\n       ".join(problems))
    name = settled_name(layout, node)
    ensure_user(user)
    ensure_user("seaway-bus")
    layout.run.mkdir(parents=True, exist_ok=True)
    (layout.state / "log").mkdir(parents=True, exist_ok=True)
    if detach:
        _detach(layout)
    options = Options(
        bus_port=port,
        user=user,
        nats_server=nats_server,
        more_sockets=sockets,
        extra=_extra(registries, tcp, tls),
        node=name,
        fleet=fleet,
    )
    sys.exit(asyncio.run(_up(layout, options)))


def _extra(registries: tuple[str, ...], tcp: str, tls: Path | None) -> dict[str, dict[str, Any]]:
    """What options say of services' settings."""
    extra: dict[str, dict[str, Any]] = {}
    if registries:
        extra["supervisor"] = {"images.insecure_registries": list(registries)}
    if tcp and tls:
        names = {"tls_authority": "ca.pem", "tls_certificate": "cert.pem", "tls_key": "key.pem"}
        extra["daemon"] = {"tcp": tcp, **{name: str(tls / file) for name, file in names.items()}}
    return extra


async def _up(layout: Layout, options: Options) -> int:
    from seaway_cli.stack.engine import (
        Stack,
        run_until_signal,
    )  # nats and aiohttp are slow to import for the other verbs

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    stack = Stack(layout, options)
    write_pid(layout.pid_file, os.getpid())
    try:
        await run_until_signal(stack, lambda: print(READY_LINE, layout.socket, flush=True))
    except TimeoutError as error:
        print(f"seaway up: {error}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(f"seaway up: cannot start the engine: {error.filename}: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    finally:
        layout.pid_file.unlink(missing_ok=True)
    return 0


@click.command()
@root_option
@click.option("--containers", is_flag=True, help="kill the containers too")
@click.option(
    "--purge", "everything", is_flag=True, help="kill the containers and remove everything the engine ever made"
)
def down(root: Path | None, containers: bool, everything: bool) -> None:
    """Stop what `seaway up` started. Containers go on without it unless you say otherwise."""
    layout = Layout.of(root)
    if os.geteuid() != 0:
        raise click.ClickException("cannot stop the engine: this needs root, so run it with sudo")
    if (pid := running_pid(layout)) is not None:
        _end(pid, layout)
    if containers or everything:
        purge.kill_containers(layout)
        purge.remove_kernel_objects(layout)
    if everything:
        purge.remove_directories(layout)


def running_pid(layout: Layout) -> int | None:
    """The process id of this engine's `seaway up`, or None."""
    try:
        pid = int(layout.pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"up" in words else None


def ensure_user(name: str) -> None:
    """The system user that a service runs as, made where it is missing (systemd-sysusers does it for packages)."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return
    made = subprocess.run(
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise click.ClickException(f"cannot make the system user {name}: {made.stderr.strip()}")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _end(pid: int, layout: Layout) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + 30
    while running_pid(layout) == pid:
        if time.monotonic() > until:
            raise click.ClickException(
                f"cannot stop the engine: process {pid} is still there after 30 s; see {layout.log('up')}"
            )
        time.sleep(0.02)


def _detach(layout: Layout) -> None:
    """The parent waits for the child's ready line, or its end, and leaves with its verdict; only the child returns."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading) as stream:
            said = stream.readline()
        if said.startswith(READY_LINE):
            os._exit(0)
        print(f"cannot start the engine; see {layout.log('up')}", file=sys.stderr, flush=True)
        sys.stderr.write(layout.log("up").read_text()[-2000:])
        sys.stderr.flush()
        os._exit(1)
    os.setsid()
    output = os.open(layout.log("up"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 2)
    os.dup2(writing, 1)
    os.close(writing)
    os.close(reading)
