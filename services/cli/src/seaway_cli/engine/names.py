"""Names that the engine knows, for a shell that completes a word. Quick or nothing: a shell shows no errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from http.client import HTTPException
from pathlib import Path

import click

from seaway_cli.engine.api import Engine, EngineError, socket_path

_SECONDS = 1.0
"""Longer than that nobody waits for a completion."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _complete(
    find: Callable[[Engine], Iterable[str]], context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The names that begin like `incomplete` and aren't on the line yet."""
    root = context.find_root()
    chosen: Path | None = root.params.get("socket")
    given = context.params.get(parameter.name or "") if parameter.nargs == -1 else ()
    try:
        found = sorted(set(find(Engine(socket_path(chosen), _SECONDS))))
    except (EngineError, OSError, HTTPException, ValueError, LookupError, TypeError):
        return []
    return [each for each in found if each.startswith(incomplete) and each not in (given or ())]


def _containers(engine: Engine, *states: str) -> Iterable[str]:
    filters = {"status": states} if states else {}
    for each in engine.ask("GET", "/containers/json", all=True, filters=filters):
        yield each["Names"][0].lstrip("/")


def _images(engine: Engine) -> Iterable[str]:
    for each in engine.ask("GET", "/images/json"):
        yield from (tag for tag in each["RepoTags"] or () if tag != "<none>:<none>")


def _networks(engine: Engine) -> Iterable[str]:
    yield from (each["Name"] for each in engine.ask("GET", "/networks"))


def _containers_and_images(engine: Engine) -> Iterable[str]:
    yield from _containers(engine)
    yield from _images(engine)


containers: Complete = partial(_complete, _containers)
running: Complete = partial(_complete, lambda engine: _containers(engine, "running", "paused", "restarting"))
stopped: Complete = partial(_complete, lambda engine: _containers(engine, "created", "exited", "dead"))
images: Complete = partial(_complete, _images)
networks: Complete = partial(_complete, _networks)
containers_and_images: Complete = partial(_complete, _containers_and_images)


def policies(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Restart policies."""
    return [each for each in ("no", "always", "unless-stopped", "on-failure") if each.startswith(incomplete)]
