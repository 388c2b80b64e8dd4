"""Which host is in which wave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seaway_fleet.upgrade.waves import Known, check, divide, meant
from seaway_protocol.errors import InvalidArgument
from seaway_protocol.upgrades import NewUpgrade, Policy, Wave


def divided(hosts: list[Known], *waves: Wave) -> list[list[str]]:
    found: list[list[str]] = []
    for host in divide(hosts, waves):
        found += [[] for _ in range(host.wave + 1 - len(found))]
        found[host.wave].append(host.node)
    return found


TEN = [Known(f"h{number:02}") for number in range(1, 11)]


def test_a_canary_and_then_a_share_of_all_until_none_is_left() -> None:
    assert [len(wave) for wave in divided(TEN, Wave(hosts=1), Wave(percent=25))] == [1, 3, 3, 3]
    assert [len(wave) for wave in divided(TEN, Wave(hosts=1), Wave(percent=10), Wave())] == [1, 1, 8]
    assert divided(TEN[:1], Wave(hosts=3)) == [["h01"]]


def test_hosts_that_carry_the_fleet_come_last() -> None:
    hosts = [Known("a", hub=True), Known("b"), Known("c")]
    assert divided(hosts, Wave(hosts=1)) == [["b"], ["c"], ["a"]]


def test_labels_choose_the_hosts_of_a_wave_and_the_rest_follows() -> None:
    hosts = [Known("a"), Known("b", {"canary": "yes"}), Known("c", {"canary": "no"}), Known("d")]
    assert divided(hosts, Wave(labels=("canary=yes",)), Wave(hosts=2)) == [["b"], ["a", "c"], ["d"]]
    assert divided(hosts, Wave(labels=("canary",))) == [["b", "c"], ["a", "d"]]
    assert divided(hosts, Wave(labels=("nobody",)), Wave()) == [["a", "b", "c", "d"]]


@given(st.integers(1, 40), st.lists(st.builds(Wave, hosts=st.integers(0, 9)), min_size=1, max_size=4))
def test_every_host_is_in_one_wave_and_no_wave_is_empty(hosts: int, waves: list[Wave]) -> None:
    found = divided([Known(f"h{number:02}") for number in range(hosts)], *waves)
    assert sorted(node for wave in found for node in wave) == [f"h{number:02}" for number in range(hosts)]
    assert all(found)


def test_which_hosts_are_meant() -> None:
    host = Known("h1", {"region": "eu"})
    assert meant(host, (), ()) and meant(host, ("h1",), ("region=eu",)) and meant(host, (), ("region",))
    assert not meant(host, ("h2",), ()) and not meant(host, (), ("region=us",)) and not meant(host, (), ("disk",))


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (NewUpgrade(release="r", waves=()), "it has no waves"),
        (NewUpgrade(release="r", waves=(Wave(hosts=1, percent=1),)), "wave 1 has both"),
        (NewUpgrade(release="r", waves=(Wave(percent=101),)), "wave 1 has a size that can't be"),
        (NewUpgrade(release="r", policy=Policy(rollback="never")), "rollback is 'never'; it may be wave, all, pause"),
        (NewUpgrade(release="r", policy=Policy(max_unavailable=0)), "at least one host"),
        (NewUpgrade(release="r", policy=Policy(host_seconds=1)), "host_seconds is 1; it must be at least 10"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(request_: NewUpgrade, says: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot begin an upgrade: ") as refused:
        check(request_)
    assert says in str(refused.value)
