"""The course of an upgrade, with everything that can happen to it in any order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seaway_fleet.upgrade import course, machine
from seaway_fleet.upgrade.course import SECOND, Fenced
from seaway_fleet.upgrade.machine import AT_WORK, ENDED, Host, PlanEvent
from seaway_fleet.upgrade.waves import Known, divide
from seaway_protocol.errors import Conflict
from seaway_protocol.upgrades import HostProgress, Plan, Policy, Wave

DONE, RESTORED, STUCK = (HostProgress(state=each) for each in ("done", "restored", "stuck"))


def plan_of(hosts: int, *waves: Wave, **policy: object) -> Plan:
    known = [Known(f"h{number:02}") for number in range(1, hosts + 1)]
    divided = divide(known, waves or (Wave(hosts=1), Wave(percent=50)))
    return Plan(
        id="p1",
        release="r1",
        services={"daemon": "2"},
        hosts=tuple(divided),
        waves=divided[-1].wave + 1,
        policy=Policy(**policy),  # type: ignore[arg-type]
    )


def states(plan: Plan) -> dict[str, str]:
    return {host.node: host.state for host in plan.hosts}


def in_state(plan: Plan, *wanted: Host) -> list[str]:
    return [host.node for host in plan.hosts if Host(host.state) in wanted]


def turn(plan: Plan, answer: Callable[[str, bool], HostProgress], now: int = 0, turns: int = 200) -> Plan:
    """What a leader does, over and over, until nothing changes."""
    for _ in range(turns):
        before, plan = plan, course.advanced(plan, now)
        for node, asked in course.due(plan):
            plan = course.said(plan, node, answer(node, asked.forward), now)
        now = max(now, plan.rest_until)
        if plan == before:
            return plan
    raise AssertionError("it never ends")


def works(_: str, forward: bool) -> HostProgress:
    return DONE if forward else RESTORED


def test_all_hosts_are_done_wave_by_wave() -> None:
    plan = turn(plan_of(5), works)
    assert plan.state == "done"
    assert set(states(plan).values()) == {"done"}
    order = [entry.node for entry in plan.history if entry.what == "working"]
    assert order == ["h01", "h02", "h03", "h04", "h05"]
    assert [entry.what for entry in plan.history if not entry.node] == [
        "resting",
        "running",
        "resting",
        "running",
        "done",
    ]


def test_a_failing_canary_touches_one_host() -> None:
    plan = turn(plan_of(5), lambda node, forward: RESTORED)
    assert plan.state == "rolled back"
    assert states(plan) == {"h01": "restored"} | dict.fromkeys(("h02", "h03", "h04", "h05"), "waiting")


@pytest.mark.parametrize(
    ("rollback", "ends", "restored", "done"),
    [("wave", "rolled back", ["h02", "h03"], ["h01"]), ("all", "rolled back", ["h01", "h02", "h03"], [])],
)
def test_a_host_that_fails_takes_its_wave_or_all_waves_back(
    rollback: str, ends: str, restored: list[str], done: list[str]
) -> None:
    def third_fails(node: str, forward: bool) -> HostProgress:
        return (
            HostProgress(state="restored", says="a container was restarted") if node == "h03" else works(node, forward)
        )

    plan = turn(plan_of(5, rollback=rollback), third_fails)
    assert plan.state == ends
    assert in_state(plan, Host.RESTORED) == restored
    assert in_state(plan, Host.DONE) == done
    assert "h03: a container was restarted" in [entry.says for entry in plan.history if not entry.node]


def test_with_the_policy_pause_a_person_decides_and_what_failed_is_tried_again() -> None:
    plan = turn(plan_of(3, rollback="pause"), lambda node, forward: RESTORED if node == "h02" else DONE)
    assert plan.state == "paused"
    assert in_state(plan, Host.DONE) == ["h01"]
    plan = turn(course.decided(plan, PlanEvent.RESUME, "anna", 0), works)
    assert plan.state == "done"
    assert {host.node: host.attempt for host in plan.hosts} == {"h01": 1, "h02": 2, "h03": 1}
    assert [entry.by for entry in plan.history if entry.by] == ["anna"]


def test_what_a_person_decides_is_refused_in_a_sentence_where_it_makes_no_sense() -> None:
    done = turn(plan_of(2), works)
    with pytest.raises(Conflict, match=r"^cannot pause an upgrade that is done: p1$"):
        course.decided(done, PlanEvent.PAUSE, "anna", 0)


def test_an_abort_lets_hosts_at_work_end_and_begins_no_more() -> None:
    plan = course.advanced(plan_of(4, Wave(), max_unavailable=2), 0)
    plan = course.advanced(course.decided(plan, PlanEvent.ABORT, "anna", 0), 0)
    assert (plan.state, in_state(plan, Host.WORKING)) == ("aborting", ["h01", "h02"])
    plan = turn(plan, works)
    assert (plan.state, in_state(plan, Host.DONE)) == ("aborted", ["h01", "h02"])


def test_what_is_done_can_be_rolled_back_by_a_person() -> None:
    plan = course.decided(turn(plan_of(3), works), PlanEvent.ROLL_BACK, "anna", 5)
    plan = turn(plan, works)
    assert plan.state == "rolled back"
    assert set(states(plan).values()) == {"restored"}


def test_hosts_in_the_middle_are_taken_back_by_a_rollback() -> None:
    plan = course.advanced(plan_of(2), 0)
    plan = course.advanced(course.decided(plan, PlanEvent.ROLL_BACK, "anna", 0), 0)
    assert [(node, asked.forward) for node, asked in course.due(plan)] == [("h01", False)]


def test_a_host_lost_in_the_middle_is_a_failure_and_is_asked_back_when_it_is_there_again() -> None:
    plan = course.advanced(plan_of(3), 0)
    plan = course.advanced(course.given_up(plan, "h01", "not heard of for 120 s", 0), 0)
    assert (plan.state, states(plan)["h01"]) == ("failed", "lost")
    assert [(node, asked.forward) for node, asked in course.due(plan)] == [("h01", False)]
    plan = turn(plan, works)
    assert (plan.state, states(plan)["h01"]) == ("rolled back", "restored")


def test_hosts_that_are_away_are_passed_by_unless_that_is_the_whole_wave() -> None:
    def fleet(*lost: str) -> list[Known]:
        return [Known(each, lost=each in lost) for each in ("h01", "h02", "h03")]

    plan = turn(course.seen(plan_of(3), fleet("h03"), 0), works)
    assert (plan.state, plan.says) == ("done", "without h03")
    late = course.seen(plan_of(3), fleet("h01"), 0)
    assert course.advanced(late, 0).state == "running"
    halted = course.advanced(late, 121 * SECOND)
    assert (halted.state, halted.says) == ("paused", "no host of wave 1 can be heard")
    back = turn(course.decided(course.seen(halted, fleet(), 0), PlanEvent.RESUME, "anna", 0), works)
    assert back.state == "done"


def test_hosts_that_join_come_into_the_last_wave_and_evicted_ones_are_forgotten() -> None:
    plan = course.seen(plan_of(3), [Known("h01"), Known("h03"), Known("h09")], 0)
    assert {host.node: (host.wave, host.state) for host in plan.hosts} == {
        "h01": (0, "waiting"),
        "h02": (1, "gone"),
        "h03": (1, "waiting"),
        "h09": (1, "waiting"),
    }
    named = msgspec.structs.replace(plan_of(1), nodes=("h01",))
    assert course.seen(named, [Known("h01"), Known("h09")], 0) == named


def test_who_was_elected_before_the_last_leader_may_not_go_on() -> None:
    plan = course.led(plan_of(1), "h02", 7, 0)
    assert course.led(plan, "h02", 7, 1) is plan
    with pytest.raises(Fenced):
        course.led(plan, "h01", 6, 0)


def test_old_answers_change_nothing() -> None:
    plan = turn(plan_of(2), works)
    assert course.said(plan, "h01", STUCK, 9) == plan
    assert course.said(plan, "h77", DONE, 9) == plan
    assert course.given_up(plan, "h01", "late", 9) == plan


def test_a_long_history_keeps_its_beginning_and_its_end() -> None:
    plan = turn(plan_of(course.MOST_ENTRIES, Wave(), max_unavailable=1000), works, turns=9999)
    assert len(plan.history) <= course.MOST_ENTRIES
    assert (plan.history[0].node, plan.history[-1].what) == ("h01", "done")


def check(before: Plan, plan: Plan) -> None:
    """What holds at every instant."""
    assert len(in_state(plan, *AT_WORK)) <= plan.policy.max_unavailable
    was = states(before)
    begun = [host for host in plan.hosts if host.state == "working" and was.get(host.node) != "working"]
    for host in begun:
        earlier = [each for each in plan.hosts if each.wave < host.wave]
        assert {each.state for each in earlier} <= {"done", "away", "gone"}, "a wave began before the last was healthy"
        assert plan.state == "running"
    for old in before.hosts:
        new = states(plan)[old.node]
        if new != old.state:
            reachable = {after.value for (at, _), after in machine.HOSTS.items() if at.value == old.state}
            twice = {after.value for (at, _), after in machine.HOSTS.items() if at.value in reachable}
            assert new in reachable | twice


@st.composite
def disturbances(draw: st.DrawFn) -> list[tuple[str, int]]:
    kinds = [
        "lead",
        "turn",
        "lose",
        "back",
        "join",
        "evict",
        "give up",
        "pause",
        "resume",
        "abort",
        "old leader",
        "rest",
    ]
    return draw(st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 7)), max_size=40))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    hosts=st.integers(1, 7),
    limit=st.integers(1, 3),
    rollback=st.sampled_from(["wave", "all", "pause"]),
    answers=st.lists(st.sampled_from(["done", "restored", "stuck", "working"]), min_size=8, max_size=8),
    events=disturbances(),
)
def test_however_leaders_and_hosts_come_and_go_it_ends_done_or_as_it_was(
    hosts: int, limit: int, rollback: str, answers: list[str], events: list[tuple[str, int]]
) -> None:
    """A leader may die between any two writes: the plan alone is carried on."""
    plan, fence, now = plan_of(hosts, max_unavailable=limit, rollback=rollback, pause_between=5), 1, 0
    lost: set[str] = set()
    gone: set[str] = set()
    extra: set[str] = set()

    def fleet() -> list[Known]:
        names = {f"h{number:02}" for number in range(1, hosts + 1)} | extra
        return [Known(name, lost=name in lost) for name in sorted(names - gone)]

    def answer(node: str, forward: bool) -> HostProgress:
        will = answers[int(node[1:]) % len(answers)]
        if not forward:
            return HostProgress(state="stuck" if will == "stuck" else "restored")
        return HostProgress(state=will)

    def take(after: Plan) -> None:
        nonlocal plan
        check(plan, after)
        plan = after

    for kind, number in events:
        now += SECOND
        name = f"h{number:02}"
        if kind == "lead":
            fence += 1
            take(course.led(plan, f"leader{fence}", fence, now))
        elif kind == "old leader":
            if plan.fence > 1:
                with pytest.raises(Fenced):
                    course.led(plan, "old", plan.fence - 1, now)
        elif kind in ("pause", "resume", "abort"):
            event = {"pause": PlanEvent.PAUSE, "resume": PlanEvent.RESUME, "abort": PlanEvent.ABORT}[kind]
            with contextlib.suppress(Conflict):
                take(course.decided(plan, event, "anna", now))
        elif kind == "give up":
            take(course.given_up(plan, name, "silence", now))
        elif kind == "rest":
            now += 10 * SECOND
        elif kind == "turn":
            for node, asked in course.due(plan):
                if node not in lost:
                    take(course.said(plan, node, answer(node, asked.forward), now))
        elif machine.Plan(plan.state) not in ENDED:
            group = {"lose": lost.add, "back": lost.discard, "join": extra.add, "evict": gone.add}[kind]
            group(f"h{number + 90}" if kind == "join" else name)
            take(course.seen(plan, fleet(), now))
        take(course.advanced(plan, now))

    # The disturbances end: whoever leads goes on, hosts come back, what never answers is given up.
    lost.clear()
    for _ in range(300):
        now += 200 * SECOND
        if plan.state == "paused":
            take(course.decided(plan, PlanEvent.ROLL_BACK, "anna", now))
        if machine.Plan(plan.state) not in ENDED:
            take(course.seen(plan, fleet(), now))
        take(course.advanced(plan, now))
        for node, asked in course.due(plan):
            said = answer(node, asked.forward)
            take(course.said(plan, node, said, now))
            if said.state == "working":
                take(course.given_up(plan, node, "too long", now))
        take(course.advanced(plan, now))
    assert machine.Plan(plan.state) in ENDED
    assert not in_state(plan, *AT_WORK)
    if plan.state == "done":
        assert set(states(plan).values()) <= {"done", "gone", "away"}
    if plan.state == "rolled back":
        assert not in_state(plan, Host.STUCK, Host.LOST)
    if plan.state == "failed":
        assert in_state(plan, Host.STUCK, Host.LOST)


def test_every_state_of_a_plan_can_be_left_or_is_an_end() -> None:
    for state in machine.Plan:
        assert state in ENDED or any(at is state for at, _ in machine.PLANS)
    drawn = list(machine.diagram())
    assert len(drawn) == len(machine.PLANS) + len(machine.HOSTS) + 5
