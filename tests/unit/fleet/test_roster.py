"""Who is in the fleet, and who is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from seaway_fleet.roster import LOST, Kept, roster
from seaway_protocol.enrolment import Member
from seaway_protocol.fleet import Host

SECOND = 1_000_000_000


def member(node: str, **more: object) -> Member:
    return Member(node=node, role="controller", key=f"U{node}", joined=5, **more)  # type: ignore[arg-type]


def kept(node: str, at: int, **more: object) -> Kept:
    return Kept(Host(node=node, **more), at)  # type: ignore[arg-type]


def test_hosts_are_told_by_name_without_those_that_were_evicted() -> None:
    members = [member("h2"), member("h3", evicted=True), member("h1")]
    found = roster(members, {node: kept(node, 100) for node in ("h1", "h2", "h3", "stranger")})
    assert [each.host.node for each in found.hosts] == ["h1", "h2"]


def test_a_host_is_lost_when_its_record_is_older_than_the_newest_by_half_a_minute() -> None:
    records = {"h1": kept("h1", 1000 * SECOND), "h2": kept("h2", 1000 * SECOND - LOST), "h3": kept("h3", 969 * SECOND)}
    found = roster(map(member, records), records)
    assert {each.host.node: each.lost for each in found.hosts} == {"h1": False, "h2": False, "h3": True}


@given(st.integers(-(10**13), 10**13))
def test_whose_clock_is_wrong_is_not_lost(wrong: int) -> None:
    records = {"h1": kept("h1", 10**18 + wrong), "h2": kept("h2", 10**18 + wrong - 9 * SECOND)}
    assert not any(each.lost for each in roster(map(member, records), records).hosts)


def test_one_that_never_told_of_itself_is_lost_since_it_joined() -> None:
    (seen,) = roster([member("h1", hub=True)], {}).hosts
    assert seen.lost and seen.at == 5 and seen.host.hub


def test_what_a_host_may_do_is_not_for_it_to_say() -> None:
    (seen,) = roster([member("h1")], {"h1": kept("h7", 9, role="member", hub=True, load=3)}).hosts
    assert (seen.host.node, seen.host.role, seen.host.hub, seen.host.load) == ("h1", "controller", False, 3)
