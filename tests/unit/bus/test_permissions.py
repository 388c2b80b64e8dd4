"""Who may say what, as subjects."""

from __future__ import annotations

import pytest
from seaway_bus.permissions import SELF, Permissions, _includes, permissions
from seaway_protocol import INTERFACES
from seaway_protocol.principals import PRINCIPALS, Principal

BY_NAME = {principal.name: principal for principal in PRINCIPALS}


def may(subjects: tuple[str, ...], subject: str) -> bool:
    return any(allowed == subject or _includes(allowed, subject) for allowed in subjects)


def of(name: str) -> Permissions:
    return permissions(BY_NAME[name], "n1")


def test_a_shim_is_good_for_its_own_container_alone() -> None:
    shim = of("shim")
    for subject in (*shim.publish, *shim.subscribe):
        if subject.startswith(("sw1.io.", "sw1.cmd.n1.shim.", "_INBOX_")):
            assert SELF in subject
    assert not may(shim.publish, "sw1.cmd.n1.supervisor.create")
    assert may(shim.publish, "sw1.cmd.n1.supervisor.report")


def test_the_daemon_cannot_make_shims_or_answer_for_anybody() -> None:
    daemon = of("daemon")
    assert may(daemon.publish, "sw1.cmd.n1.supervisor.start")
    assert may(daemon.publish, "sw1.cmd.n1.shim.c1.attach")
    for refused in ("nursery.spawn", "shim.c1.start", "supervisor.report", "runtime.delete", "network.tear_down"):
        assert not may(daemon.publish, f"sw1.cmd.n1.{refused}")
    assert not any(subject.startswith("sw1.cmd.") for subject in daemon.subscribe)
    assert not may(daemon.publish, "sw1.evt.n1.container.started.x")
    assert daemon.answer_seconds == 0


def test_the_observer_changes_nothing_and_never_sees_stdio() -> None:
    observer = of("observer")
    assert not any(subject.startswith("sw1.") for subject in observer.publish)
    assert not any(subject.startswith("sw1.io") for subject in observer.subscribe)


def is_the_fleets(tokens: list[str], hears_fleet: bool) -> bool:
    """Whether it is one of the addresses by which hosts of a fleet speak to each other."""
    match tokens[1:]:
        case ["cmd", "*", interface, _]:
            return any(i.subject.endswith(f".{interface}") for i in INTERFACES if i.reach == "fleet")
        case ["evt", "*", *_]:
            return hears_fleet
        case ["all" | "ctl" | "mem", *_]:
            return True
        case ["ans", "*", "*", "*", "*", "n1"] | ["io", "*", "fleet", "n1", ">"]:
            return True
    return False


@pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda p: p.name)
def test_nobody_reaches_another_host_or_another_inbox(principal: Principal) -> None:
    allowed = permissions(principal, "n1")
    for subject in (*allowed.publish, *allowed.subscribe):
        tokens = subject.split(".")
        if tokens[0] == "sw1":
            assert tokens[2] == "n1" or is_the_fleets(tokens, principal.hears_fleet), subject
    assert all(
        s.startswith(f"_INBOX_{SELF if principal.per_container else principal.name}.")
        for s in allowed.publish
        if s.startswith("_INBOX")
    )


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda i: i.name)
def test_each_interface_is_served_by_exactly_one_principal(interface: object) -> None:
    assert len([p for p in PRINCIPALS if interface in (*p.serves, *p.tells)]) == 1


def test_whoever_serves_may_be_found_and_may_answer_as_long_as_its_longest_call() -> None:
    supervisor = of("supervisor")
    assert may(supervisor.subscribe, "$SRV.PING") and may(supervisor.subscribe, "$SRV.INFO.seaway-supervisor.x")
    assert supervisor.answer_seconds > 3600 and supervisor.answers == 1


def test_each_interface_may_answer_who_looks_for_services() -> None:
    fleet = next(each for each in PRINCIPALS if each.name == "fleet")
    assert permissions(fleet, "n1").answers == len(fleet.serves) > 1


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.>", False),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.*.c", True),
        ("a.b", "a.c", False),
        ("a.b", "a.*", False),
    ],
)
def test_what_includes_what(wide: str, narrow: str, expected: bool) -> None:
    assert _includes(wide, narrow) is expected


def test_the_audit_is_told_by_the_daemon_and_only_added_to() -> None:
    daemon = of("daemon")
    assert may(daemon.publish, "sw1.audit.n1.audit.noted.n1") and not may(daemon.publish, "sw1.audit.n2.audit.noted.n2")
    for verb in ("DELETE", "PURGE", "MSG.DELETE", "UPDATE"):
        assert not may(daemon.publish, f"$JS.API.STREAM.{verb}.SW_AUDIT_n1")
    assert not any(may(of(p.name).publish, "sw1.audit.n1.audit.noted.n1") for p in PRINCIPALS if p.name != "daemon")
