"""What a host may say to its fleet and hear from it, derived from the protocol. Pure: subjects in, subjects out.

These are the permissions of the user with which a host's server joins the hub as a leaf: what isn't here doesn't leave
the host, and doesn't reach it. `{{name()}}` stands for the host's node, which the hub takes from the host's token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from seaway_protocol import INTERFACES
from seaway_protocol.enrolment import ENROLMENT, admit
from seaway_protocol.kinds import ANSWERS, WIRE, Bucket, Interface, Role, Store
from seaway_protocol.memory import BUCKETS, STORES
from seaway_protocol.principals import PRINCIPALS

from seaway_bus.memory import said_again
from seaway_bus.permissions import SELF, Permissions, inbox, narrowed, remembered, written_by

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most: each may what the ones before it may."""


def at_least(role: Role, least: Role) -> bool:
    """Whether a role may what another one may."""
    return ROLES.index(role) >= ROLES.index(least)


def leaf(role: Role) -> Permissions:
    """What a host may send into its fleet, and receive from it."""
    publish = [f"{WIRE}.evt.{SELF}.>", f"{WIRE}.hb.{SELF}", f"{ANSWERS}.*.*.*.*.{SELF}"]
    subscribe = [f"{ANSWERS}.{SELF}.>"]
    if at_least(role, "controller"):
        subscribe += [f"{WIRE}.evt.*.>", f"{WIRE}.hb.*"]
    for interface in INTERFACES:
        if interface.reach == "host":
            continue
        flows = list(_flows(interface, role))
        publish += [*_asked(interface, role), *flows]
        subscribe += [*_served(interface, role), *flows]
    remembers: tuple[Bucket[Any] | Store, ...] = (*BUCKETS, *STORES)
    for kept in remembers:
        publish += _kept(kept, role)
        if isinstance(kept, Bucket) and at_least(role, kept.read):
            subscribe.append(said_again(kept))
    return Permissions(narrowed(publish), narrowed(subscribe), 0)


def joiner() -> Permissions:
    """What somebody may who has a join token: ask to be let in, and hear the answer."""
    return Permissions((admit.subject(),), (f"{ANSWERS}.*.{SELF}.>", f"{inbox(SELF)}.>"), 0)


def local() -> tuple[str, ...]:
    """What a host takes from nobody outside, whatever the hub allows: its services' own, and the answers they get."""
    calls = [f"{i.subject.format(node='*', id='*')}.>" for i in INTERFACES if i.reach == "host"]
    return narrowed([*calls, *(f"{inbox(p.name)}.>" for p in PRINCIPALS if not p.per_container), "$SRV.>"])


def _asked(interface: Interface, role: Role) -> Iterator[str]:
    """The calls of an interface that it may ask other hosts."""
    if not at_least(role, interface.asked_by):
        return
    for call in interface.calls:
        if interface is not ENROLMENT or call is not admit:
            yield f"{interface.subject.format(node='*')}.{call.name}"


def _served(interface: Interface, role: Role) -> Iterator[str]:
    """The calls of an interface that it answers: only a hub's host leads."""
    if interface.reach != "leader" or role == "hub":
        yield f"{interface.subject.format(node=SELF)}.*"


def _flows(interface: Interface, role: Role) -> Iterator[str]:
    """The flows that others open here, and those that it opens elsewhere: it has an end of each, no other host has."""
    if interface.flows:
        yield f"{WIRE}.io.{SELF}.{interface.name}.*.>"
        if at_least(role, interface.asked_by):
            yield f"{WIRE}.io.*.{interface.name}.{SELF}.>"


def _kept(kept: Bucket[Any] | Store, role: Role) -> Iterator[str]:
    if at_least(role, kept.read):
        yield from remembered(kept)
    if role == "hub":
        yield from written_by(kept)
    elif kept.write == "own":
        yield written_by(kept, SELF)[-1]
