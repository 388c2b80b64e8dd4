"""Upgrades of a fleet in waves: what is published, the plan that the fleet remembers, and who asks whom for what.

A person asks the leader (`sw1.ctl.fleet`), who keeps the plan and asks each host in its turn (`sw1.cmd.<node>.fleet`).
A plan says all that there is to know about an upgrade: any leader goes on from it, at any step.
"""

from __future__ import annotations

from collections.abc import Iterable

from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable, Unsupported
from seaway_protocol.kinds import Call, Interface, Message

# --- a plan ----------------------------------------------------------------------------------------------------------


class Wave(Message):
    """How many hosts a wave takes: so many `hosts`, or `percent` of all that are meant, rounded up.

    With `labels` (`key` or `key=value`) it takes such hosts alone; with neither number, all of them.
    """

    hosts: int = 0
    percent: int = 0
    labels: tuple[str, ...] = ()


class Policy(Message):
    """How careful to be.

    `max_unavailable` is how many hosts may be worked on at once, `pause_between` the seconds of rest after a wave.
    `rollback` says what becomes of the others once a host has failed: its `wave` is taken back, or `all` waves, or the
    plan is halted for a person (`pause`). `gate` is a shell command that must succeed on a host, within `gate_seconds`,
    after all else has; `host_seconds` is what a host may take altogether, and `away_seconds` for how long one that is
    being worked on may not be heard of. `downgrade` allows older versions, `shims` has running shims upgraded, too.
    """

    max_unavailable: int = 1
    pause_between: int = 0
    rollback: str = "wave"
    gate: str = ""
    gate_seconds: int = 60
    host_seconds: int = 1800
    away_seconds: int = 120
    downgrade: bool = False
    shims: bool = False


class ServiceStep(Message):
    """What a host has said of one service: `state` is done, taken back or not well, as `seaway upgrade` has them."""

    service: str
    before: str = ""
    after: str = ""
    state: str = ""
    says: str = ""


class PlannedHost(Message):
    """A host in a plan.

    `state` is waiting, away (not begun, because nobody hears of it), working, done, restoring, restored, stuck (neither
    the new versions nor the old ones work), lost (not heard of in the middle) or gone (evicted). `since` is when it
    came to that, `attempt` counts from 1 once begun. `before` is what it ran, `now` what it runs; `kept` is how many
    of its containers had the same process before and after, `restarted` those that hadn't.
    """

    node: str
    wave: int
    state: str = "waiting"
    since: int = 0
    attempt: int = 0
    says: str = ""
    services: tuple[ServiceStep, ...] = ()
    before: dict[str, str] = {}
    now: dict[str, str] = {}
    kept: int = 0
    restarted: tuple[str, ...] = ()


class Entry(Message):
    """A line of a plan's history. `node` is "" where it is about the whole, `by` where nobody has asked for it."""

    at: int
    what: str
    node: str = ""
    by: str = ""
    says: str = ""


class Plan(Message):
    """An upgrade, from its creation to its end.

    `state` is running, resting (between waves), paused, aborting, rolling back, done, aborted, rolled back or failed;
    `wave` counts from 0. `services` are the versions that it brings. `nodes` and `labels` say which hosts are meant:
    those that join while it runs come into the last wave. `fence` is the lease's revision of the `leader` that wrote
    last: one with a lower one may not. `back_to` is the first wave that is taken back while rolling back.
    """

    id: str
    release: str
    services: dict[str, str] = {}
    nodes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    waves: int = 1
    policy: Policy = Policy()
    hosts: tuple[PlannedHost, ...] = ()
    state: str = "running"
    says: str = ""
    wave: int = 0
    wave_since: int = 0
    rest_until: int = 0
    back_to: int = 0
    fence: int = 0
    leader: str = ""
    by: str = ""
    created_at: int = 0
    ended_at: int = 0
    history: tuple[Entry, ...] = ()


def newest_first(plans: Iterable[Plan]) -> list[Plan]:
    """Plans in the order in which they are told."""
    return sorted(plans, key=lambda plan: plan.created_at, reverse=True)


def named(plans: Iterable[Plan], id: str) -> Plan:
    """The plan of an id, or of a beginning of it. Raises NotFound; Conflict where several begin so."""
    found = [plan for plan in newest_first(plans) if id and plan.id.startswith(id)]
    whole = [plan for plan in found if plan.id == id]
    if not found:
        raise NotFound(f"no such upgrade: {id}")
    if len(found) > 1 and not whole:
        raise Conflict(f"several upgrades begin with {id}: {', '.join(plan.id for plan in found[:3])}")
    return (whole or found)[0]


# --- asked of the leader ---------------------------------------------------------------------------------------------


class NewUpgrade(Message):
    """An upgrade to a release that was published, of its `services` (all where none is named).

    Of the hosts those named in `nodes`, if any are, with all `labels`. The last of the `waves` is repeated until no
    host is left. `by` is who asks, as the asking daemon knows them. With `dry_run` nothing is begun: the plan is shown.
    """

    release: str
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    waves: tuple[Wave, ...] = (Wave(hosts=1), Wave(percent=25))
    policy: Policy = Policy()
    by: str = ""
    dry_run: bool = False


class Decision(Message):
    """What a person decides about a plan, and who."""

    id: str
    by: str = ""


# --- asked of a host -------------------------------------------------------------------------------------------------


class HostUpgrade(Message):
    """What is to be so on a host: `forward`, the services of the release; else what it ran before the plan.

    Asked again it is the question how far that is. `fence` is the asking leader's; a lower one than the host has seen
    is refused.
    """

    plan: str
    attempt: int
    fence: int
    forward: bool
    release: str
    services: tuple[str, ...] = ()
    policy: Policy = Policy()


class HostProgress(Message):
    """How far it is: fetching, working, done, restored or stuck; the rest as in `PlannedHost`."""

    state: str
    says: str = ""
    services: tuple[ServiceStep, ...] = ()
    before: dict[str, str] = {}
    now: dict[str, str] = {}
    kept: int = 0
    restarted: tuple[str, ...] = ()


_AWAY = (Unavailable, PermissionDenied)

upgrade_create = Call(
    "upgrade_create",
    NewUpgrade,
    Plan,
    raises=(Conflict, InvalidArgument, NotFound, *_AWAY),
    changes=True,
    seconds=30,
    doc="begin an upgrade",
)


def _decision(name: str, doc: str) -> Call[Decision, Plan]:
    return Call(name, Decision, Plan, raises=(NotFound, Conflict, *_AWAY), changes=True, doc=doc)


upgrade_pause = _decision("upgrade_pause", "begin no more hosts of an upgrade for now")
upgrade_resume = _decision("upgrade_resume", "go on with an upgrade, also with the hosts that failed")
upgrade_abort = _decision("upgrade_abort", "end an upgrade where it is, once the hosts that were begun are through")
upgrade_rollback = _decision("upgrade_rollback", "take every host of an upgrade back to what it ran before")

UPGRADES = Interface(
    name="upgrades",
    version=1,
    subject="sw1.ctl.upgrades",
    calls=(
        upgrade_create,
        upgrade_pause,
        upgrade_resume,
        upgrade_abort,
        upgrade_rollback,
    ),
    doc="the fleet's upgrades, answered by its leader alone",
    reach="leader",
)

upgrade_host = Call(
    "upgrade_host",
    HostUpgrade,
    HostProgress,
    raises=(Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable, Unsupported),
    changes=False,
    doc="have a host upgraded, or taken back, and say how far it is",
)

HOST_UPGRADES = Interface(
    name="host_upgrades",
    version=1,
    subject="sw1.cmd.{node}.upgrades",
    calls=(upgrade_host,),
    doc="one host's part of an upgrade of the fleet, asked by the leader",
    reach="fleet",
    asked_by="hub",
)
