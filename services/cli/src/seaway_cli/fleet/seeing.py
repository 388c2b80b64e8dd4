"""`seaway fleet ls|ps|images|df`: what there is on all hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from seaway_cli.engine.api import Engine
from seaway_cli.engine.verbs import pass_engine, port_list
from seaway_cli.fleet.answers import (
    asking_hosts,
    bytes_of,
    filtering,
    filters_of,
    formatting,
    options_query,
    show,
    tell_missing,
)

SERVICES = ("daemon", "supervisor", "runtime", "network", "shim", "fleet", "bus", "cli")
"""The order in which versions are shown."""

_SHORT = 20
"""Letters of a command that are shown."""


@click.command()
@click.option("--versions", is_flag=True, help="the version of each service")
@formatting
@asking_hosts
@pass_engine
def ls(
    engine: Engine,
    /,
    form: str,
    versions: bool,
    **hosts: Any,
) -> None:
    """List the hosts: their state, versions, load and what runs on them.

    A host is ready, draining, silent where it didn't answer, or lost where it hasn't been heard of for a while.
    """
    answer = engine.ask("GET", "/fleet/hosts", **options_query(hosts))
    if versions:
        show(answer, form, ["NODE", *(name.upper() for name in SERVICES)], _versions)
    else:
        titles = ["NODE", "STATE", "ROLE", "ADDRESS", "VERSION", "LOAD", "MEMORY", "RUNNING", "STOPPED", "LABELS"]
        show(answer, form, titles, _host)
    tell_missing(answer, hosts["strict"])


def _host(each: dict[str, Any]) -> Iterator[list[str]]:
    role = f"{each['Role']}, hub" if each["Hub"] else each["Role"]
    unhealthy = f" ({each['Unhealthy']} unhealthy)" if each["Unhealthy"] else ""
    used = each["Memory"] - each["MemoryAvailable"]
    yield [
        each["Node"],
        each["State"],
        role,
        each["Address"],
        _version(each["Versions"]),
        f"{each['Load']:.2f}/{each['Cpus']}" if each["Cpus"] else "",
        f"{bytes_of(used)} / {bytes_of(each['Memory'])}" if each["Memory"] else "",
        f"{each['Running'] + each['Paused']}{unhealthy}",
        str(each["Stopped"]),
        ",".join(f"{key}={value}" if value else key for key, value in sorted(each["Labels"].items())),
    ]


def _version(versions: dict[str, str]) -> str:
    """The one version of all services, or how many there are."""
    different = sorted(set(versions.values()))
    return different[0] if len(different) == 1 else f"{different[0]} … {different[-1]}" if different else ""


def _versions(each: dict[str, Any]) -> Iterator[list[str]]:
    yield [each["Node"], *(each["Versions"].get(name, "-") for name in SERVICES)]


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="those that don't run too")
@click.option("-n", "--last", "limit", type=int, default=None, help="the newest so many of all hosts together")
@click.option("-q", "--quiet", is_flag=True, help="nodes and ids alone")
@click.option("--no-trunc", "whole", is_flag=True, help="whole ids and commands")
@filtering("ancestor", "label", "name", "status")
@formatting
@asking_hosts
@pass_engine
def ps(
    engine: Engine,
    /,
    form: str,
    filters: tuple[str, ...],
    everything: bool,
    limit: int | None,
    quiet: bool,
    whole: bool,
    **hosts: Any,
) -> None:
    """List the containers of all hosts."""
    answer = engine.ask(
        "GET",
        "/fleet/containers",
        all=everything,
        limit=limit,
        filters=filters_of(filters) or None,
        **options_query(hosts),
    )
    if quiet:
        click.echo("\n".join(f"{each['Node']} {each['Id'][:12]}" for each in answer["Items"]), nl=bool(answer["Items"]))
    else:
        titles = ["NODE", "CONTAINER ID", "IMAGE", "COMMAND", "STATUS", "PORTS", "NAMES"]
        show(answer, form, titles, lambda each: [_container(each, whole=whole)])
    tell_missing(answer, hosts["strict"])


def _container(each: dict[str, Any], *, whole: bool) -> list[str]:
    command = each["Command"]
    return [
        each["Node"],
        each["Id"] if whole else each["Id"][:12],
        each["Image"],
        f'"{command if whole or len(command) <= _SHORT else command[: _SHORT - 1] + "…"}"',
        each["Status"],
        port_list(each["Ports"]) if each["Ports"] else "",
        each["Names"][0].lstrip("/"),
    ]


@click.command()
@filtering("reference")
@formatting
@asking_hosts
@pass_engine
def images(
    engine: Engine,
    /,
    form: str,
    filters: tuple[str, ...],
    **hosts: Any,
) -> None:
    """List the images of all hosts, each once, and on how many hosts it is."""
    answer = engine.ask("GET", "/fleet/images", filters=filters_of(filters) or None, **options_query(hosts))
    show(answer, form, ["REPOSITORY", "TAG", "IMAGE ID", "AGE", "SIZE", "CONTAINERS", "HOSTS"], _image)
    tell_missing(answer, hosts["strict"])


def _image(each: dict[str, Any]) -> Iterator[list[str]]:
    age = f"{(time.time() - each['Created']) / 86400:.0f} days"
    for reference in each["RepoTags"] or ["<none>:<none>"]:
        name, _, tag = reference.rpartition(":")
        id = each["Id"].removeprefix("sha256:")[:12]
        yield [name, tag, id, age, bytes_of(each["Size"]), str(each["Containers"]), _places(each["Nodes"])]


def _places(nodes: list[str]) -> str:
    return ",".join(nodes) if len(nodes) <= 3 else f"{len(nodes)} hosts"


@click.command()
@formatting
@asking_hosts
@pass_engine
def df(
    engine: Engine,
    /,
    form: str,
    **hosts: Any,
) -> None:
    """Show what the disks of all hosts are used for."""
    answer = engine.ask("GET", "/fleet/df", **options_query(hosts))
    if form == "table":
        answer["Items"] = [*answer["Items"], {**answer["Total"], "Node": "total"}]
    show(answer, form, ["NODE", "IMAGES", "SIZE", "CONTAINERS", "SIZE", "VOLUMES", "SIZE", "DISK", "FREE"], _usage)
    tell_missing(answer, hosts["strict"])


def _usage(each: dict[str, Any]) -> Iterator[list[str]]:
    yield [
        each["Node"],
        str(each["Images"]),
        bytes_of(each["ImageBytes"]),
        str(each["Containers"]),
        bytes_of(each["ContainerBytes"]),
        str(each["Volumes"]),
        bytes_of(each["VolumeBytes"]),
        bytes_of(each["DiskBytes"]),
        bytes_of(each["DiskFree"]),
    ]


SEEING: tuple[click.Command, ...] = (ls, ps, images, df)
