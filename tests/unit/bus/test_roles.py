"""What hosts may say to their fleet, as subjects; `tests/integration/bus/test_forbidden.py` tries it."""

from __future__ import annotations

import pytest
from seaway_bus import roles
from seaway_bus.permissions import SELF, Permissions, _includes, permissions
from seaway_protocol import INTERFACES
from seaway_protocol.kinds import Role
from seaway_protocol.principals import PRINCIPALS


def may(subjects: tuple[str, ...], subject: str) -> bool:
    return any(allowed == subject or _includes(allowed, subject) for allowed in subjects)


def of(role: Role) -> Permissions:
    return roles.leaf(role)


def test_each_role_may_what_the_one_before_it_may() -> None:
    for less, more in (("member", "controller"), ("controller", "hub")):
        for subject in of(less).publish:  # type: ignore[arg-type]
            assert may(of(more).publish, subject), subject  # type: ignore[arg-type]
        for subject in of(less).subscribe:  # type: ignore[arg-type]
            assert may(of(more).subscribe, subject), subject  # type: ignore[arg-type]


@pytest.mark.parametrize("role", roles.ROLES)
def test_what_a_host_says_of_itself_has_its_name(role: Role) -> None:
    for subject in of(role).publish:
        tokens = subject.split(".")
        if tokens[:2] in (["sw1", "evt"], ["sw1", "hb"]):
            assert tokens[2] == SELF
        if tokens[:2] == ["sw1", "ans"]:
            assert tokens[-1] == SELF
        if tokens[:2] == ["sw1", "io"]:
            assert SELF in tokens and "fleet" in tokens


@pytest.mark.parametrize("role", roles.ROLES)
def test_nothing_of_a_hosts_own_services_crosses(role: Role) -> None:
    for interface in INTERFACES:
        if interface.reach == "host":
            for call in interface.calls:
                subject = call.subject(node="h1", id="c1")
                assert not may(of(role).publish, subject) and not may(of(role).subscribe, subject)
                assert may(roles.local(), subject)


@pytest.mark.parametrize("role", roles.ROLES)
def test_no_host_may_make_consumers_or_get_raw_messages(role: Role) -> None:
    for subject in of(role).publish:
        assert ".CONSUMER." not in subject and ".DIRECT." not in subject
    for principal in PRINCIPALS:
        assert not any(".hub.API.CONSUMER" in subject for subject in permissions(principal, "h1").publish)


def test_only_hubs_lead_and_only_leaders_have_hosts_upgraded() -> None:
    for subject in ("sw1.ctl.fleet.evict", "sw1.ctl.enrolment.admit", "sw1.ctl.upgrades.upgrade_create"):
        assert may(of("hub").subscribe, subject) and not may(of("controller").subscribe, subject)
    assert not may(of("controller").publish, "sw1.cmd.h2.upgrades.upgrade_host")
    assert may(of("hub").publish, "sw1.cmd.h2.upgrades.upgrade_host")


def test_a_member_asks_only_to_stay_and_to_go() -> None:
    asked = [subject for subject in of("member").publish if subject.startswith(("sw1.cmd.", "sw1.all.", "sw1.ctl."))]
    assert asked == ["sw1.ctl.enrolment.depart", "sw1.ctl.enrolment.renew"]


def test_join_tokens_are_for_hubs_alone() -> None:
    for role in ("member", "controller"):
        allowed = of(role)
        assert not any("SW_TOKEN" in subject for subject in (*allowed.publish, *allowed.subscribe))
