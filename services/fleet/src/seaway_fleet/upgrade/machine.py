"""An upgrade and each of its hosts as two tables, (state, event) → next state. Pure.

There are no effects beside the states: what a host is to be asked follows from the state it is in (`course.due`), so
that a leader which finds a plan does what the one before it would have done. What isn't in a table is a Conflict.
`python -m seaway_fleet.upgrade.machine` prints both diagrams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from seaway_protocol.errors import Conflict


class Host(Enum):
    """Where a host is. The values are `PlannedHost.state` on the wire."""

    WAITING = "waiting"
    AWAY = "away"
    WORKING = "working"
    DONE = "done"
    RESTORING = "restoring"
    RESTORED = "restored"
    STUCK = "stuck"
    LOST = "lost"
    GONE = "gone"


class HostEvent(Enum):
    """What happens to a host, or what it says."""

    BEGIN = "begin"
    SAID_DONE = "says that it is done"
    SAID_RESTORED = "says that it is as it was"
    SAID_STUCK = "says that neither version works"
    MISSED = "nobody hears of it"
    HEARD = "is heard of again"
    GIVEN_UP = "has taken too long"
    EVICTED = "evicted"
    TAKE_BACK = "take back"
    RETRY = "retry"


class Plan(Enum):
    """Where the whole is. The values are `Plan.state` on the wire."""

    RUNNING = "running"
    RESTING = "resting"
    PAUSED = "paused"
    ABORTING = "aborting"
    ROLLING_BACK = "rolling back"
    DONE = "done"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"


class PlanEvent(Enum):
    """What happens to the whole: decided by a person, or come about."""

    WAVE_DONE = "wave done"
    ALL_DONE = "last wave done"
    RESTED = "rested"
    HALT = "halt"
    GO_BACK = "go back"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLL_BACK = "roll back"
    QUIET = "nobody at work"
    ALL_RESTORED = "everyone restored"
    NOT_ALL_RESTORED = "not everyone restored"


HOSTS: Mapping[tuple[Host, HostEvent], Host] = {
    (Host.WAITING, HostEvent.BEGIN): Host.WORKING,
    (Host.WAITING, HostEvent.MISSED): Host.AWAY,
    (Host.AWAY, HostEvent.HEARD): Host.WAITING,
    (Host.WORKING, HostEvent.SAID_DONE): Host.DONE,
    # A host that fails takes itself back at once, whether or not anybody leads.
    (Host.WORKING, HostEvent.SAID_RESTORED): Host.RESTORED,
    (Host.WORKING, HostEvent.SAID_STUCK): Host.STUCK,
    (Host.WORKING, HostEvent.GIVEN_UP): Host.LOST,
    (Host.WORKING, HostEvent.TAKE_BACK): Host.RESTORING,
    (Host.DONE, HostEvent.TAKE_BACK): Host.RESTORING,
    (Host.RESTORING, HostEvent.SAID_RESTORED): Host.RESTORED,
    (Host.RESTORING, HostEvent.SAID_STUCK): Host.STUCK,
    (Host.RESTORING, HostEvent.GIVEN_UP): Host.LOST,
    # One that was given up is still asked, and comes back in the end.
    (Host.LOST, HostEvent.SAID_RESTORED): Host.RESTORED,
    (Host.LOST, HostEvent.SAID_STUCK): Host.STUCK,
    (Host.RESTORED, HostEvent.RETRY): Host.WAITING,
    (Host.STUCK, HostEvent.RETRY): Host.WAITING,
    (Host.LOST, HostEvent.RETRY): Host.WAITING,
    **{(state, HostEvent.EVICTED): Host.GONE for state in Host if state is not Host.GONE},
}

PLANS: Mapping[tuple[Plan, PlanEvent], Plan] = {
    (Plan.RUNNING, PlanEvent.WAVE_DONE): Plan.RESTING,
    (Plan.RUNNING, PlanEvent.ALL_DONE): Plan.DONE,
    (Plan.RUNNING, PlanEvent.HALT): Plan.PAUSED,
    (Plan.RUNNING, PlanEvent.GO_BACK): Plan.ROLLING_BACK,
    (Plan.RESTING, PlanEvent.RESTED): Plan.RUNNING,
    # A pause begins no more hosts; those that were begun may still fail.
    (Plan.RUNNING, PlanEvent.PAUSE): Plan.PAUSED,
    (Plan.RESTING, PlanEvent.PAUSE): Plan.PAUSED,
    (Plan.PAUSED, PlanEvent.RESUME): Plan.RUNNING,
    (Plan.PAUSED, PlanEvent.GO_BACK): Plan.ROLLING_BACK,
    **{(each, PlanEvent.ABORT): Plan.ABORTING for each in (Plan.RUNNING, Plan.RESTING, Plan.PAUSED)},
    (Plan.ABORTING, PlanEvent.QUIET): Plan.ABORTED,
    **{(each, PlanEvent.ROLL_BACK): Plan.ROLLING_BACK for each in Plan if each is not Plan.ROLLING_BACK},
    (Plan.ROLLING_BACK, PlanEvent.ALL_RESTORED): Plan.ROLLED_BACK,
    (Plan.ROLLING_BACK, PlanEvent.NOT_ALL_RESTORED): Plan.FAILED,
    (Plan.FAILED, PlanEvent.ALL_RESTORED): Plan.ROLLED_BACK,
}

AT_WORK = frozenset((Host.WORKING, Host.RESTORING))
"""Hosts that are being worked on: these count against `max_unavailable`."""

FAILED = frozenset((Host.RESTORED, Host.STUCK, Host.LOST))
"""Hosts that weren't upgraded although it was tried."""

ENDED = frozenset((Plan.DONE, Plan.ABORTED, Plan.ROLLED_BACK, Plan.FAILED))
"""Plans in which no host is begun any more."""


def host_after(state: Host, event: HostEvent) -> Host:
    """A host's next state. Raises Conflict where there is none."""
    try:
        return HOSTS[state, event]
    except KeyError:
        raise Conflict(f"cannot {event.value} a host that is {state.value}") from None


def plan_after(state: Plan, event: PlanEvent) -> Plan:
    """The whole's next state. Raises Conflict where there is none."""
    try:
        return PLANS[state, event]
    except KeyError:
        raise Conflict(f"cannot {event.value} an upgrade that is {state.value}") from None


def diagram() -> Iterator[str]:
    """Both tables as Mermaid state diagrams, a line at a time."""
    yield from _drawn(PLANS, Plan.RUNNING)
    yield ""
    yield from _drawn(HOSTS, Host.WAITING)


def _drawn(table: Mapping[Any, Enum], first: Enum) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {_word(first)}"
    for (state, event), to in table.items():
        yield f"    {_word(state)} --> {_word(to)}: {event.value}"


def _word(state: Enum) -> str:
    return str(state.value).replace(" ", "_")


if __name__ == "__main__":
    print("\n".join(diagram()))
