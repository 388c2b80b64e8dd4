"""Which host is in which wave. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seaway_protocol.errors import InvalidArgument
from seaway_protocol.upgrades import NewUpgrade, PlannedHost, Policy, Wave

ROLLBACKS = ("wave", "all", "pause")


@dataclass(frozen=True)
class Known:
    """A host that the fleet knows. `lost`: it isn't heard of. `hub`: it runs one of the fleet's servers."""

    node: str
    labels: Mapping[str, str] = field(default_factory=dict)
    hub: bool = False
    lost: bool = False


def labelled(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether a host has all the labels, each `key` or `key=value`."""
    return all(
        key in labels and (not equals or labels[key] == value)
        for key, equals, value in (each.partition("=") for each in wanted)
    )


def meant(host: Known, nodes: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether an upgrade of these nodes and labels is one of this host."""
    return (not nodes or host.node in nodes) and labelled(host.labels, labels)


def check(request: NewUpgrade) -> None:
    """Raises InvalidArgument where what is asked for makes no sense."""
    policy = request.policy
    wrong = _wrong_waves(request.waves) or _wrong_policy(policy)
    if wrong:
        raise InvalidArgument(f"cannot begin an upgrade: {wrong}")


def _wrong_waves(waves: Sequence[Wave]) -> str:
    if not waves:
        return "it has no waves"
    for number, wave in enumerate(waves, 1):
        if wave.hosts < 0 or not 0 <= wave.percent <= 100:
            return f"wave {number} has a size that can't be: give hosts from 1 on, or a percentage up to 100"
        if wave.hosts and wave.percent:
            return f"wave {number} has both a number of hosts and a percentage; give one of them"
    return ""


def _wrong_policy(policy: Policy) -> str:
    if policy.rollback not in ROLLBACKS:
        return f"rollback is {policy.rollback!r}; it may be {', '.join(ROLLBACKS)}"
    if policy.max_unavailable < 1:
        return "at least one host must be allowed to be worked on at a time"
    least = {"gate_seconds": 1, "host_seconds": 10, "away_seconds": 10, "pause_between": 0}
    low = [name for name, least_value in least.items() if getattr(policy, name) < least_value]
    return f"{low[0]} is {getattr(policy, low[0])}; it must be at least {least[low[0]]}" if low else ""


def divide(hosts: Iterable[Known], waves: Sequence[Wave]) -> list[PlannedHost]:
    """Every host in its wave, counted from 0; those that run the fleet's servers come last where they may.

    A wave that finds no host is left out. The last wave is repeated until no host is left; where it asks for labels, it
    is followed by one wave of all the others.
    """
    left = sorted(hosts, key=lambda host: (host.hub, host.node))
    total = len(left)
    found: list[list[Known]] = []
    for wave in waves:
        taken = _taken(left, wave, total)
        left = [host for host in left if host not in taken]
        found.append(taken)
    while left:
        taken = _taken(left, waves[-1], total) or left
        left = [host for host in left if host not in taken]
        found.append(taken)
    filled = [each for each in found if each]
    return [PlannedHost(node=host.node, wave=number) for number, wave in enumerate(filled) for host in wave]


def _taken(left: Sequence[Known], wave: Wave, total: int) -> list[Known]:
    fitting = [host for host in left if labelled(host.labels, wave.labels)]
    size = wave.hosts or math.ceil(total * wave.percent / 100) or len(fitting)
    return fitting[:size]
