"""The course of an upgrade: what becomes of a plan when something happens, and what is then due. Pure.

Every function takes a plan and gives the next one. Who runs it writes the plan down before doing what is due, so that
nothing is ever done which the fleet doesn't remember.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from seaway_protocol.errors import Conflict
from seaway_protocol.upgrades import Entry, HostProgress, HostUpgrade, Plan, PlannedHost

from seaway_fleet.upgrade import machine
from seaway_fleet.upgrade.machine import AT_WORK, ENDED, FAILED, Host, HostEvent, PlanEvent
from seaway_fleet.upgrade.waves import Known, meant

SECOND = 1_000_000_000
MOST_ENTRIES = 2000
"""Lines of history that a plan carries; of a longer one the middle is left out."""

_SAID = {"done": HostEvent.SAID_DONE, "restored": HostEvent.SAID_RESTORED, "stuck": HostEvent.SAID_STUCK}
_SETTLED = frozenset((Host.DONE, Host.AWAY, Host.GONE))


class Fenced(Exception):
    """Somebody leads who was elected later: whoever gets this leads no more."""


def state(plan: Plan) -> machine.Plan:
    """The state of the whole."""
    return machine.Plan(plan.state)


def led(plan: Plan, leader: str, fence: int, now: int) -> Plan:
    """A leader takes over, or goes on. Raises Fenced where a later one has."""
    if plan.fence > fence:
        raise Fenced(f"{plan.leader} leads, by the lease's revision {plan.fence}; ours is {fence}")
    if plan.fence == fence:
        return plan
    says = f"after {plan.leader}" if plan.leader else ""
    return _noted(_with(plan, leader=leader, fence=fence), now, "led", node=leader, says=says)


def decided(plan: Plan, event: PlanEvent, by: str, now: int) -> Plan:
    """A person has decided: pause, resume, abort, roll back. Raises Conflict where that can't be now."""
    plan = _moved(plan, event, now, by=by)
    if event is PlanEvent.RESUME:
        retried = [host for host in plan.hosts if Host(host.state) in FAILED]
        for host in retried:
            plan = _happened(plan, host.node, HostEvent.RETRY, now)
        plan = _with(plan, wave_since=now)
    if event is PlanEvent.ROLL_BACK:
        plan = _with(plan, back_to=0, ended_at=0)
    return plan


def said(plan: Plan, node: str, progress: HostProgress, now: int) -> Plan:
    """A host has answered. What it says of a state that it isn't in any more is old, and left alone."""
    host = _host(plan, node)
    if host is None:
        return plan
    news: dict[str, Any] = {
        name: value
        for name in ("services", "before", "now", "kept", "restarted")
        if (value := getattr(progress, name)) and value != getattr(host, name)
    }
    plan = _with_host(plan, node, **news) if news else plan
    event = _SAID.get(progress.state)
    if event is None or (Host(host.state), event) not in machine.HOSTS:
        return plan
    return _happened(plan, node, event, now, says=progress.says)


def given_up(plan: Plan, node: str, why: str, now: int) -> Plan:
    """A host that is being worked on isn't waited for any longer."""
    host = _host(plan, node)
    if host is None or Host(host.state) not in AT_WORK:
        return plan
    return _happened(plan, node, HostEvent.GIVEN_UP, now, says=why)


def seen(plan: Plan, hosts: Iterable[Known], now: int) -> Plan:
    """The fleet as it is now: some can't be heard, are back, have joined, or are gone for good."""
    known = {host.node: host for host in hosts}
    for host in plan.hosts:
        there, current = known.get(host.node), Host(host.state)
        if there is None and current is not Host.GONE:
            plan = _happened(plan, host.node, HostEvent.EVICTED, now)
        elif there and there.lost and current is Host.WAITING:
            plan = _happened(plan, host.node, HostEvent.MISSED, now)
        elif there and not there.lost and current is Host.AWAY:
            plan = _happened(plan, host.node, HostEvent.HEARD, now)
            plan = _with_host(plan, host.node, wave=max(host.wave, _open_wave(plan)))
    if state(plan) in ENDED or state(plan) in (machine.Plan.ABORTING, machine.Plan.ROLLING_BACK):
        return plan
    return _joined(plan, known, now)


def _open_wave(plan: Plan) -> int:
    """The first wave that isn't over."""
    return plan.wave + 1 if state(plan) is machine.Plan.RESTING else plan.wave


def _joined(plan: Plan, known: dict[str, Known], now: int) -> Plan:
    """Hosts that have joined since come into the last wave; a plan that names its hosts gets no others."""
    planned = {host.node for host in plan.hosts}
    new = [host for name, host in sorted(known.items()) if name not in planned and meant(host, plan.nodes, plan.labels)]
    for host in new:
        added = PlannedHost(node=host.node, wave=plan.waves - 1, since=now)
        plan = _noted(_with(plan, hosts=(*plan.hosts, added)), now, "joined", node=host.node)
    return plan


def advanced(plan: Plan, now: int) -> Plan:
    """The plan after everything that can happen by itself now has happened."""
    while (after := _advance(plan, now)) is not plan:
        plan = after
    return plan


def _advance(plan: Plan, now: int) -> Plan:
    """One step by itself, or the same plan where there is none."""
    match state(plan):
        case machine.Plan.RUNNING:
            return _run(plan, now)
        case machine.Plan.PAUSED:
            return _failed(plan, now) if plan.policy.rollback != "pause" and _failures(plan) else plan
        case machine.Plan.RESTING if now >= plan.rest_until:
            return _with(_moved(plan, PlanEvent.RESTED, now), wave=plan.wave + 1, wave_since=now)
        case machine.Plan.ABORTING if not _at_work(plan):
            return _moved(plan, PlanEvent.QUIET, now)
        case machine.Plan.ROLLING_BACK:
            return _go_back(plan, now)
        case machine.Plan.FAILED if not _unsettled(plan):
            return _moved(plan, PlanEvent.ALL_RESTORED, now)
    return plan


def _run(plan: Plan, now: int) -> Plan:
    if _failures(plan):
        return _failed(plan, now)
    members = [host for host in plan.hosts if host.wave <= plan.wave]
    waiting = [host for host in members if Host(host.state) is Host.WAITING]
    if waiting and len(_at_work(plan)) < plan.policy.max_unavailable:
        begun = _happened(plan, waiting[0].node, HostEvent.BEGIN, now)
        return _with_host(begun, waiting[0].node, attempt=waiting[0].attempt + 1, services=())
    if all(Host(host.state) in _SETTLED for host in members):
        return _wave_over(plan, now)
    return plan


def _wave_over(plan: Plan, now: int) -> Plan:
    """The wave is through, with those of its hosts that can be heard; if that is none, it has shown nothing."""
    members = [host for host in plan.hosts if host.wave == plan.wave]
    away = [host for host in members if Host(host.state) is Host.AWAY]
    if away and len(away) == len([host for host in members if Host(host.state) is not Host.GONE]):
        if now - plan.wave_since < plan.policy.away_seconds * SECOND:
            return plan
        says = f"no host of wave {plan.wave + 1} can be heard"
        return _moved(plan, PlanEvent.HALT, now, says=says)
    if plan.wave + 1 < plan.waves:
        rest = now + plan.policy.pause_between * SECOND
        return _with(_moved(plan, PlanEvent.WAVE_DONE, now, says=f"wave {plan.wave + 1}"), rest_until=rest)
    says = f"without {', '.join(host.node for host in plan.hosts if Host(host.state) is Host.AWAY)}" if away else ""
    return _moved(plan, PlanEvent.ALL_DONE, now, says=says)


def _failed(plan: Plan, now: int) -> Plan:
    """A host has failed: halt, or go back as the policy says."""
    first = _failures(plan)[0]
    says = f"{first.node}: {first.says or first.state}"
    if plan.policy.rollback == "pause":
        return _moved(plan, PlanEvent.HALT, now, says=says)
    back_to = 0 if plan.policy.rollback == "all" else min(plan.wave, *(host.wave for host in _failures(plan)))
    return _with(_moved(plan, PlanEvent.GO_BACK, now, says=says), back_to=back_to)


def _go_back(plan: Plan, now: int) -> Plan:
    """Hosts at work are taken back where they are, the others as far as the limit allows; then it is over."""
    for host in plan.hosts:
        if Host(host.state) is Host.WORKING:
            return _happened(plan, host.node, HostEvent.TAKE_BACK, now)
    mine = [host for host in plan.hosts if host.wave >= plan.back_to and Host(host.state) is Host.DONE]
    if mine and len(_at_work(plan)) < plan.policy.max_unavailable:
        return _happened(plan, mine[-1].node, HostEvent.TAKE_BACK, now)
    if mine or _at_work(plan):
        return plan
    if bad := _unsettled(plan):
        says = ", ".join(f"{host.node} is {host.state}" for host in bad)
        return _moved(plan, PlanEvent.NOT_ALL_RESTORED, now, says=says)
    return _moved(plan, PlanEvent.ALL_RESTORED, now)


def due(plan: Plan) -> list[tuple[str, HostUpgrade]]:
    """What which host is to be asked now, and again until its state changes."""
    wanted = {Host.WORKING: True, Host.RESTORING: False}
    if state(plan) in (machine.Plan.ROLLED_BACK, machine.Plan.FAILED):
        wanted[Host.LOST] = False
    return [(host.node, _asked(plan, host, wanted[at])) for host in plan.hosts if (at := Host(host.state)) in wanted]


def _asked(plan: Plan, host: PlannedHost, forward: bool) -> HostUpgrade:
    return HostUpgrade(
        plan=plan.id,
        attempt=host.attempt,
        fence=plan.fence,
        forward=forward,
        release=plan.release,
        services=tuple(sorted(plan.services)),
        policy=plan.policy,
    )


def _failures(plan: Plan) -> Sequence[PlannedHost]:
    return [host for host in plan.hosts if Host(host.state) in FAILED]


def _unsettled(plan: Plan) -> Sequence[PlannedHost]:
    return [host for host in plan.hosts if Host(host.state) in (Host.STUCK, Host.LOST)]


def _at_work(plan: Plan) -> Sequence[PlannedHost]:
    return [host for host in plan.hosts if Host(host.state) in AT_WORK]


def _host(plan: Plan, node: str) -> PlannedHost | None:
    return next((host for host in plan.hosts if host.node == node), None)


def _moved(plan: Plan, event: PlanEvent, now: int, *, by: str = "", says: str = "") -> Plan:
    try:
        after = machine.plan_after(state(plan), event)
    except Conflict as error:
        raise Conflict(f"{error.text}: {plan.id}") from None
    ended = {"ended_at": now} if after in ENDED else {}
    moved = _with(plan, state=after.value, says=says, **ended)
    return _noted(moved, now, after.value if after.value != plan.state else event.value, by=by, says=says)


def _happened(plan: Plan, node: str, event: HostEvent, now: int, says: str = "") -> Plan:
    host = _host(plan, node)
    assert host is not None
    after = machine.host_after(Host(host.state), event)
    return _noted(_with_host(plan, node, state=after.value, since=now, says=says), now, after.value, node, says=says)


def _noted(plan: Plan, now: int, what: str, node: str = "", by: str = "", says: str = "") -> Plan:
    history = (*plan.history, Entry(at=now, what=what, node=node, by=by, says=says))
    if len(history) > MOST_ENTRIES:
        half = MOST_ENTRIES // 2
        history = (*history[:half], *history[-half:])
    return _with(plan, history=history)


def _with(plan: Plan, **changes: Any) -> Plan:
    return msgspec.structs.replace(plan, **changes)


def _with_host(plan: Plan, node: str, **changes: Any) -> Plan:
    hosts = tuple(msgspec.structs.replace(host, **changes) if host.node == node else host for host in plan.hosts)
    return _with(plan, hosts=hosts)
