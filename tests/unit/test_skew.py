"""The walk through the versions of services meets every pair of versions of every two services."""

from __future__ import annotations

import itertools

from support.skew import agrees, flips, pairs, states
from support.systemd_host import SERVICES


def test_every_two_services_meet_in_every_pair_of_versions() -> None:
    both = (False, True)
    every = {
        (one, a, other, b)
        for one, other in itertools.combinations(SERVICES, 2)
        for a, b in itertools.product(both, both)
    }
    assert pairs(states(SERVICES)) == every


def test_each_flip_changes_one_service_and_the_last_state_is_the_first() -> None:
    seen = states(SERVICES)
    assert len(seen) == 2 * len(SERVICES) + 1 == len(list(flips(SERVICES))) + 1
    assert all(sum(a[each] != b[each] for each in SERVICES) == 1 for a, b in itertools.pairwise(seen))
    assert seen[0] == seen[-1]


def test_going_back_in_the_reverse_order_would_not_do() -> None:
    there = states(SERVICES)[: len(SERVICES) + 1]
    assert len(pairs(there + there[::-1])) < len(pairs(states(SERVICES)))


def test_a_newer_version_may_say_more_but_nothing_else() -> None:
    before = {"a": {"b": 1}, "c": [1, 2]}
    assert agrees(before, {"a": {"b": 1, "new": 2}, "c": [1, 2], "d": 3})
    assert not agrees(before, {"a": {"b": 2}, "c": [1, 2]})
    assert not agrees(before, {"a": {"b": 1}})
    assert agrees([{"a": 1}], [{"a": 1, "new": 2}])
    assert not agrees([{"a": 1}], [{"a": 1}, {"a": 1}])
