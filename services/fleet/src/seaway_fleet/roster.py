"""Which hosts there are, and which of them are lost. Pure.

No clock of any host is asked. Every record carries the time at which the hub kept it, and each host keeps its own anew
every few seconds; so the newest of all records is as old as now, and a host whose own is much older than that is lost.
A host whose clock is wrong by minutes is neither lost nor takes others for lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from seaway_protocol.enrolment import Member
from seaway_protocol.fleet import Host, Roster, Seen

LOST = 30_000_000_000
"""Nanoseconds without a record after which a host is lost."""


@dataclass(frozen=True)
class Kept:
    """A host's record and the hub's time, nanoseconds, at which it was kept."""

    host: Host
    at: int


def roster(members: Iterable[Member], kept: Mapping[str, Kept]) -> Roster:
    """Every host that has joined and wasn't evicted, by name. One that has never told of itself is lost since then."""
    now = max((each.at for each in kept.values()), default=0)
    return Roster(hosts=tuple(_seen(m, kept.get(m.node), now) for m in _present(members)))


def _present(members: Iterable[Member]) -> list[Member]:
    return sorted((each for each in members if not each.evicted), key=lambda each: each.node)


def _seen(member: Member, kept: Kept | None, now: int) -> Seen:
    """What a host says of itself holds, but for what only the fleet can say."""
    if kept is None:
        return Seen(host=Host(node=member.node, role=member.role, hub=member.hub), at=member.joined, lost=True)
    host = msgspec.structs.replace(kept.host, node=member.node, role=member.role, hub=member.hub)
    return Seen(host=host, at=kept.at, lost=now - kept.at > LOST)
