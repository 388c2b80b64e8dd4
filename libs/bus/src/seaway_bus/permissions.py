"""What each principal may publish and subscribe, derived from the protocol. Pure: subjects in, subjects out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from seaway_protocol.kinds import ANSWERS, WIRE, Bucket, Call, Interface, Store
from seaway_protocol.principals import PRINCIPALS, Principal

from seaway_bus.discovery import DISCOVERY
from seaway_bus.jetstream import stream_name
from seaway_bus.memory import HUB_DOMAIN, api, said_again, stream_of, written

SELF = "{{name()}}"
"""In a scoped signing key's template: the server puts the user's own name here, which for a shim is its container."""

_DAY = 24 * 3600
"""Seconds an answer may take at least: a caller may wait longer than a call's declaration says, as `stop -t` does."""


@dataclass(frozen=True)
class Permissions:
    """Subjects a principal may publish and subscribe, and for how many seconds it may answer a request it received.

    `answers` is how often: each interface that it serves answers who looks for services.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answer_seconds: int
    answers: int = 1


def inbox(principal: str) -> str:
    """The prefix of a principal's replies: nobody else may listen there."""
    return f"_INBOX_{principal}"


def permissions(principal: Principal, node: str) -> Permissions:
    """What the bus of host `node` allows a principal."""
    name = SELF if principal.per_container else principal.name
    own = f"{inbox(name)}.>"
    publish = [own, *_calls(principal, node), *_flows(principal, node), *_events(principal, node)]
    subscribe = [own, *_served(principal, node, name), *_flows(principal, node), *_heard(principal, node)]
    if any(interface.reach in ("everyone", "leader") for interface in principal.serves):
        publish += [f"{ANSWERS}.*.*.*.*.{node}"]
    if principal.reads or principal.keeps or any(_interface(asked).reach != "host" for asked in principal.calls):
        subscribe += [f"{ANSWERS}.{node}.{name}.>"]
    for kept in principal.reads:
        publish += remembered(kept)
        subscribe += _said_again(kept)
    for kept in principal.keeps:
        publish += [*remembered(kept), *written_by(kept)]
        subscribe += _said_again(kept)
    for kept_in in {event.kept_in for interface in principal.listens for event in interface.events}:
        publish += _reading(stream_name(node, kept_in))
    if principal.keeps_events:
        streams = (stream_name(node), stream_name(node, "audit"))
        publish += [f"$JS.API.STREAM.{verb}.{name}" for name in streams for verb in ("CREATE", "UPDATE", "INFO")]
    if principal.observes:
        publish += [s for verb in ("PING", "INFO", "STATS") for s in _discovery(verb)]
        subscribe += _observed(node)
    answers = max(1, len(principal.serves))
    return Permissions(narrowed(publish), narrowed(subscribe), _answer_seconds(principal), answers)


def _calls(principal: Principal, node: str) -> Iterator[str]:
    """The calls it asks; a shim is any shim, and a host any host where its services answer others."""
    for allowed in principal.calls:
        asked = "*" if _interface(allowed).reach == "fleet" else node
        for call in allowed.calls if isinstance(allowed, Interface) else (allowed,):
            yield _subject(call, asked, "*")


def _interface(allowed: Interface | Call[Any, Any]) -> Interface:
    return allowed if isinstance(allowed, Interface) else allowed.interface


def _served(principal: Principal, node: str, name: str) -> Iterator[str]:
    """The calls it answers, those that it doesn't know among them, and the discovery of services."""
    for interface in principal.serves:
        yield f"{interface.subject.format(node=node, id=name)}.*"
    if principal.serves:
        yield DISCOVERY


def _subject(call: Call[Any, Any], node: str, id: str) -> str:
    return f"{call.interface.subject.format(node=node, id=id)}.{call.name}"


def _discovery(verb: str) -> list[str]:
    return [f"$SRV.{verb}", f"$SRV.{verb}.>"]


def _events(principal: Principal, node: str) -> Iterator[str]:
    """The events of what it serves; those of a container's own principal are about that container."""
    for interface in (*principal.serves, *principal.tells):
        for event in interface.events:
            yield event.subject(node, SELF if principal.per_container else "*")


def _heard(principal: Principal, node: str) -> Iterator[str]:
    """Events of its own host, and of all the others' where it may."""
    for interface in principal.listens:
        for event in interface.events:
            wide = principal.hears_fleet and event.kept_in == "evt"
            yield event.subject("*" if wide else node, "*")


def _flows(principal: Principal, node: str) -> Iterator[str]:
    """Both ends of a flow publish and subscribe: data one way, grants the other."""
    for interface in principal.flows:
        if not interface.flows:
            continue
        if interface.reach == "fleet":
            yield from _fleet_flows(principal, interface, node)
            continue
        per_container = "id" in set(interface.parts())
        containers = SELF if principal.per_container else "*"
        yield f"{WIRE}.io.{node}.{containers if per_container else interface.name}.>"


def _fleet_flows(principal: Principal, interface: Interface, node: str) -> Iterator[str]:
    """Those opened here by other hosts, and those that we open elsewhere; their owner is `fleet.<asking node>`."""
    if interface in principal.serves:
        yield f"{WIRE}.io.{node}.{interface.name}.*.>"
    yield f"{WIRE}.io.*.{interface.name}.{node}.>"


def _reading(stream: str) -> list[str]:
    """JetStream's API for a place of one's own in a stream of events, and for finding it by time."""
    place = [f"$JS.API.CONSUMER.CREATE.{stream}.>", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>"]
    return [*place, f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}"]


def remembered(kept: Bucket[Any] | Store) -> list[str]:
    """JetStream's API for reading what the fleet remembers: only questions whose answers are JSON (see `memory`)."""
    return [f"{api(HUB_DOMAIN)}.{verb}.{stream_of(kept)}" for verb in ("STREAM.INFO", "STREAM.MSG.GET")]


def written_by(kept: Bucket[Any] | Store, key: str = ">") -> list[str]:
    """For making and forgetting it, and last for writing it, or one key."""
    verbs = [f"{api(HUB_DOMAIN)}.STREAM.{verb}.{stream_of(kept)}" for verb in ("CREATE", "UPDATE", "PURGE")]
    return [*verbs, written(kept, key)]


def _said_again(kept: Bucket[Any] | Store) -> list[str]:
    return [said_again(kept)] if isinstance(kept, Bucket) else []


def _observed(node: str) -> list[str]:
    """All calls and events of the host, and the answers of its services; never what goes through containers' stdio."""
    answers = [f"{inbox(p.name)}.>" for p in PRINCIPALS if not p.per_container]
    return [f"{WIRE}.cmd.{node}.>", f"{WIRE}.evt.{node}.>", *answers]


def _answer_seconds(principal: Principal) -> int:
    """As long as its longest call may take, and a day at least; nothing where it answers nothing."""
    return int(max(_DAY, *(c.seconds for i in principal.serves for c in i.calls))) if principal.serves else 0


def narrowed(subjects: Iterable[str]) -> tuple[str, ...]:
    """Each once, without those another one includes."""
    unique = sorted(set(subjects))
    return tuple(s for s in unique if not any(_includes(wide, s) for wide in unique if wide != s))


def _includes(wide: str, narrow: str) -> bool:
    """Whether a subject with wildcards covers another."""
    left, right = wide.split("."), narrow.split(".")
    for index, word in enumerate(left):
        if word == ">":
            return len(right) > index
        if index >= len(right) or (word != right[index] and (word != "*" or right[index] == ">")):
            return False
    return len(left) == len(right)
