"""Asks all hosts of the fleet at once, and says who hasn't answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from seaway_protocol import fleet
from seaway_protocol.errors import Conflict, Error, NotFound, PermissionDenied, Unavailable
from seaway_protocol.fleet import (
    Ask,
    AskContainers,
    AskEvents,
    AskImages,
    HostContainers,
    HostEvents,
    HostImages,
    Membership,
    Seen,
    Selection,
)
from seaway_protocol.kinds import Call, Empty, Message

from seaway_daemon.api.filters import Filters
from seaway_daemon.engine import Engine

SECONDS = 1.0
"""How long the hosts of a fleet may take to answer what they have at hand."""

OWN_PATIENCE = 5.0
"""Seconds for which this host's own fleet service is waited for, when it is being restarted."""

PAGING_AT_ONCE = 16
"""Hosts that are asked for more than their first page at a time."""


Q = TypeVar("Q", bound=Ask | AskContainers | AskImages | AskEvents)
M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)
P = TypeVar("P", bound=HostContainers | HostImages | HostEvents)


@dataclass(frozen=True)
class Gathered(Generic[R]):
    """The answers by host, in the order of names, why some refused, and who is missing."""

    answers: Mapping[str, R]
    errors: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    hosts: Mapping[str, Seen] = field(default_factory=dict)
    """The hosts that were meant, as the roster has them."""


async def own(engine: Engine, call: Call[M, R], request: M) -> R:
    """What this host's own fleet service answers. Raises Unavailable, with what to do, where there is none."""
    try:
        return await engine.bus.call(call, request, patience=OWN_PATIENCE)
    except Unavailable as error:
        if error.origin != call.subject(node=engine.bus.node):
            raise
        raise Unavailable(
            "cannot ask the fleet: this host's seaway-fleet isn't running; start it with: systemctl start seaway-fleet",
            origin=error.origin,
        ) from error


async def membership(engine: Engine) -> Membership:
    """This host's place in its fleet. Raises Conflict where it is in none."""
    place = await own(engine, fleet.membership, Empty())
    if not place.fleet:
        raise Conflict(
            f"cannot ask the fleet: {place.node} is in none; make one with `seaway fleet init`, "
            "or join one with `seaway fleet join`"
        )
    return place


async def controller(engine: Engine) -> Membership:
    """This host's place, from which others may be asked. Raises PermissionDenied where it is a member only."""
    place = await membership(engine)
    if place.role == "member":
        raise PermissionDenied(
            f"cannot ask the fleet: {place.node} is a member of {place.fleet} that only answers; ask on a controller"
        )
    return place


async def known(engine: Engine) -> dict[str, Seen]:
    """The hosts that the fleet knows, by name."""
    roster = await engine.bus.call(fleet.roster, Empty(), patience=OWN_PATIENCE)
    return {each.host.node: each for each in sorted(roster.hosts, key=lambda seen: natural(seen.host.node))}


async def ask_all(engine: Engine, call: Call[Q, R], request: Q, seconds: float = SECONDS) -> Gathered[R]:
    """What the hosts answer that are meant. Those that are known to be lost aren't waited for, but missing."""
    _, hosts = await asyncio.gather(controller(engine), known(engine))
    meant = chosen(request.on, hosts)
    expected = tuple(node for node, seen in meant.items() if not seen.lost)
    if not expected:  # whoever answered then would be somebody whom nobody asked
        return Gathered({}, {}, tuple(meant), meant)
    gathered = await engine.bus.gather(call, request, expected=expected, seconds=seconds)
    answers = {node: gathered.answers[node] for node in sorted(gathered.answers, key=natural)}
    told = {node: answer for node, answer in answers.items() if getattr(answer, "meant", True)}
    heard = {*answers, *gathered.errors}
    missing = tuple(node for node in meant if node not in heard)
    return Gathered(told, {node: error.text for node, error in gathered.errors.items()}, missing, meant)


async def complete(
    engine: Engine, gathered: Gathered[P], more: Call[Q, P], following: Callable[[P], Q]
) -> tuple[dict[str, list[P]], dict[str, str]]:
    """All pages of each host, and why some didn't come. `following` asks for what comes after a page."""
    pages = {node: [first] for node, first in gathered.answers.items()}
    errors = dict(gathered.errors)
    room = asyncio.Semaphore(PAGING_AT_ONCE)

    async def go_on(node: str) -> None:
        async with room:
            try:
                while pages[node][-1].more:
                    pages[node].append(await engine.bus.call(more, following(pages[node][-1]), node=node))
            except Error as error:
                errors[node] = error.text

    await asyncio.gather(*(go_on(node) for node, first in gathered.answers.items() if first.more))
    return pages, errors


def chosen(on: Selection, hosts: Mapping[str, Seen]) -> dict[str, Seen]:
    """Those of the fleet's hosts that are asked. Raises NotFound for a name that none of them has."""
    if unknown := [node for node in on.nodes if node not in hosts]:
        raise NotFound(f"no such host in the fleet: {', '.join(unknown)}")
    return {node: seen for node, seen in hosts.items() if means(on, seen)}


def means(on: Selection, seen: Seen) -> bool:
    """Whether a host is one of those that are asked; it decides itself, by what its labels are now."""
    named = not on.nodes or seen.host.node in on.nodes
    return named and Filters({"label": on.labels}).labelled(seen.host.labels)


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """A key by which h2 comes before h10."""
    words = re.split(r"(\d+)", name)
    return tuple((word, int(number or 0)) for word, number in zip(words[::2], [*words[1::2], ""], strict=True))
