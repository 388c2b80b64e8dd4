"""The leader's part of upgrades: it keeps plans in the fleet's memory, and asks hosts what the plan says is due.

What is to be done is written down before anybody is asked to do it, under the condition that nobody else has written
since, with the lease's revision; so a leader may end at any instant, and one that was replaced can't go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from seaway_bus import Bus, Endpoints, first_asked, made_id
from seaway_bus.records import Entry, Records
from seaway_protocol import upgrades
from seaway_protocol.errors import (
    Conflict,
    DeadlineExceeded,
    Error,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unsupported,
)
from seaway_protocol.upgrades import (
    Decision,
    HostProgress,
    HostUpgrade,
    NewUpgrade,
    Plan,
)
from seaway_protocol.upgrades import (
    Entry as Line,
)

from seaway_fleet.upgrade import course, machine
from seaway_fleet.upgrade.course import SECOND, Fenced
from seaway_fleet.upgrade.machine import ENDED, PlanEvent
from seaway_fleet.upgrade.release import Releases, check_services
from seaway_fleet.upgrade.waves import Known, check, divide, meant

log = logging.getLogger("seaway.fleet")

TURN = 0.5
"""Seconds between two questions to a host that is being worked on."""

IDLE = 5.0
"""Seconds between two looks at plans while none is under way."""

SEEN = 3.0
"""Seconds for which the fleet is taken to be as it was when it was looked at."""

ANSWER = 4.0
"""Seconds that a host may take to say how far it is."""

KEPT = 50
"""Plans that the fleet remembers."""

Hosts = Callable[[], Awaitable[Sequence[Known]]]
"""The hosts of the fleet, now."""

_REFUSED = (Unsupported, InvalidArgument, NotFound, PermissionDenied)


class Upgrades:
    """Answers for the fleet's upgrades, and moves the one that is under way. Made anew for each lease."""

    endpoints = Endpoints()

    def __init__(
        self,
        bus: Bus,
        plans: Records[Plan],
        releases: Releases,
        hosts: Hosts,
        fence: int,
        *,
        turn: float = TURN,
    ) -> None:
        self._bus = bus
        self._plans = plans
        self._releases = releases
        self._hosts = hosts
        self._fence = fence
        self._turn = turn
        self._wake = asyncio.Event()
        self._heard: dict[tuple[str, int, bool], float] = {}
        self._known: tuple[float, Sequence[Known]] = (float("-inf"), ())
        self._moving = ""
        """The plan under way, as far as we know."""

    # -- what people ask ----------------------------------------------------------------------------------------

    @endpoints.on(upgrades.upgrade_create)
    async def upgrade_create(self, request: NewUpgrade) -> Plan:
        """Begin an upgrade, if none is under way."""
        check(request)
        mark = made_id("upgrade")[:6]
        known = await self._newest_first()
        if again := next((each.value for each in known if each.value and each.value.id.endswith(f"-{mark}")), None):
            return again
        manifest = await self._releases.manifest(request.release)
        services = check_services(manifest, request.services)
        chosen = [host for host in await self._hosts() if meant(host, request.nodes, request.labels)]
        unknown = sorted(set(request.nodes) - {host.node for host in chosen})
        if unknown or not chosen:
            raise NotFound(f"cannot begin an upgrade: no host is {', '.join(unknown) or 'meant'}")
        busy = next((each.value for each in known if each.value and _under_way(each.value)), None)
        if busy and not request.dry_run:
            raise Conflict(f"cannot begin an upgrade: {busy.id} is {busy.state}; wait for its end, or abort it")
        now = max(time.time_ns(), _created(known[0]) + 1 if known else 0)  # our clock may be behind the last leader's
        hosts = tuple(divide(chosen, request.waves))
        plan = Plan(
            id=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{mark}",
            release=request.release,
            services=services,
            nodes=request.nodes,
            labels=request.labels,
            waves=hosts[-1].wave + 1,
            policy=request.policy,
            hosts=hosts,
            wave_since=now,
            fence=self._fence,
            leader=self._bus.node,
            by=request.by,
            created_at=now,
            history=(Line(at=now, what="created", by=request.by, says=f"release {request.release}"),),
        )
        if not request.dry_run:
            await self._plans.create(plan.id, plan)
            self._wake.set()
        return plan

    @endpoints.on(upgrades.upgrade_pause)
    async def upgrade_pause(self, request: Decision) -> Plan:
        """Begin no more hosts."""
        return await self._decide(request, PlanEvent.PAUSE)

    @endpoints.on(upgrades.upgrade_resume)
    async def upgrade_resume(self, request: Decision) -> Plan:
        """Go on."""
        return await self._decide(request, PlanEvent.RESUME)

    @endpoints.on(upgrades.upgrade_abort)
    async def upgrade_abort(self, request: Decision) -> Plan:
        """End where it is."""
        return await self._decide(request, PlanEvent.ABORT)

    @endpoints.on(upgrades.upgrade_rollback)
    async def upgrade_rollback(self, request: Decision) -> Plan:
        """Take all hosts back."""
        newest = next(iter(await self._newest_first()), None)
        found = await self._find(request.id)
        if newest and newest.key != found.key:
            raise Conflict(f"cannot roll back {found.key}: {newest.key} came after it; roll that back first")
        return await self._decide(request, PlanEvent.ROLL_BACK)

    async def _decide(self, request: Decision, event: PlanEvent) -> Plan:
        while True:
            found = await self._find(request.id)
            assert found.value is not None
            now = time.time_ns()
            try:
                decided = course.decided(self._led(found.value, now), event, request.by, now)
            except Conflict:
                if first_asked() is not None:
                    return found.value  # what we, or the leader before us, have done already
                raise
            plan = course.advanced(decided, now)
            with contextlib.suppress(Conflict):
                await self._plans.update(found.key, plan, found.revision)
                self._wake.set()
                return plan

    async def _find(self, id: str) -> Entry[Plan]:
        """A plan by its id or a beginning of it. Raises NotFound, Conflict where several begin so."""
        entries = await self._plans.entries()
        found = upgrades.named((each.value for each in entries if each.value), id)
        return next(each for each in entries if each.key == found.id)

    async def _newest_first(self) -> list[Entry[Plan]]:
        return sorted(await self._plans.entries(), key=_created, reverse=True)

    def _led(self, plan: Plan, now: int) -> Plan:
        try:
            return course.led(plan, self._bus.node, self._fence, now)
        except Fenced as error:
            raise Unavailable(f"cannot decide: {error}; ask again") from None

    # -- what happens by itself ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Move what is under way, until cancelled. Raises Fenced where somebody leads who was elected later."""
        while True:
            self._wake.clear()
            busy = False
            try:
                busy = await self.turn()
            except Fenced:
                raise
            except Conflict as error:
                log.debug("Somebody else has written: %s", error.text)
                busy = True
            except Error as error:
                log.warning("Upgrades wait: %s", error.text)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._turn if busy else IDLE):
                    await self._wake.wait()

    async def turn(self) -> bool:
        """One look at the newest plan, and what is due; gives whether there will be more to do soon."""
        entry, self._moving = await self._newest(), ""
        if entry is None or entry.value is None:
            return False
        key, revision, plan = entry.key, entry.revision, entry.value
        if not _under_way(plan) and not course.due(plan):
            return False
        now = time.time_ns()
        moved = course.led(plan, self._bus.node, self._fence, now)
        if _under_way(moved):
            moved = course.seen(moved, await self._fleet(), now)
        moved = course.advanced(moved, now)
        if moved != plan:
            revision = await self._plans.update(key, moved, revision)
        heard = await self._ask(moved)
        if heard != moved:
            await self._plans.update(key, heard, revision)
            self._wake.set()
        self._moving = key if _under_way(heard) else ""
        return bool(self._moving)

    async def _newest(self) -> Entry[Plan] | None:
        """The plan that may have to be moved. While one is under way none comes after it."""
        if self._moving:
            return await self._plans.get(self._moving)
        entries = await self._newest_first()
        for old in entries[KEPT:]:
            await self._plans.delete(old.key, old.revision)
        return entries[0] if entries else None

    async def _fleet(self) -> Sequence[Known]:
        if time.monotonic() - self._known[0] > SEEN:
            self._known = time.monotonic(), await self._hosts()
        return self._known[1]

    async def _ask(self, plan: Plan) -> Plan:
        """The plan after all hosts were asked that are at work."""
        due = course.due(plan)
        states = {host.node: host for host in plan.hosts}
        self._heard = {key: at for key, at in self._heard.items() if key in {_key(*each) for each in due}}
        answers = await asyncio.gather(*(self._progress(node, asked) for node, asked in due))
        now = time.time_ns()
        for (node, asked), progress in zip(due, answers, strict=True):
            since = self._heard.setdefault(_key(node, asked), time.monotonic())
            if progress is not None:
                self._heard[_key(node, asked)] = time.monotonic()
                plan = course.said(plan, node, progress, now)
            elif time.monotonic() - since > plan.policy.away_seconds:
                plan = course.given_up(plan, node, f"not heard of for {plan.policy.away_seconds} s", now)
            if now - states[node].since > plan.policy.host_seconds * SECOND:
                plan = course.given_up(plan, node, f"not through within {plan.policy.host_seconds} s", now)
        return course.advanced(plan, now)

    async def _progress(self, node: str, asked: HostUpgrade) -> HostProgress | None:
        """What a host says; None where it can't be heard, or doesn't obey us.

        Whether somebody leads who was elected later is for the plan to say, not for one host.
        """
        try:
            return await self._bus.call(upgrades.upgrade_host, asked, node=node, seconds=ANSWER)
        except _REFUSED as error:
            return HostProgress(state="restored" if asked.forward else "stuck", says=error.text)
        except (Unavailable, DeadlineExceeded):
            return None
        except Error as error:
            log.warning("%s doesn't go on with %s: %s", node, asked.plan, error.text)
            return None


def _created(entry: Entry[Plan]) -> int:
    return entry.value.created_at if entry.value else 0


def _under_way(plan: Plan) -> bool:
    return machine.Plan(plan.state) not in ENDED


def _key(node: str, asked: HostUpgrade) -> tuple[str, int, bool]:
    return node, asked.attempt, asked.forward
