"""Upgrades in waves over a real bus: leaders that come and go, hosts that fail and are killed, workers as processes.

Of a host only its command `seaway` is somebody else (`support.seaway_program`), which replaces links, not services.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from seaway_bus.credentials import Key
from seaway_protocol import errors, memory, releases, upgrades
from seaway_protocol.releases import Manifest
from seaway_protocol.upgrades import Decision, NewUpgrade, Plan, Wave
from support.bus import NatsServer
from support.upgrading_fleet import NEW, OLD, UpgradingFleet, upgrading_fleet

ENDED = ("done", "aborted", "rolled back", "failed")


@pytest.fixture
async def fleet(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[UpgradingFleet]:
    async with upgrading_fleet(nats_server, tmp_path / "hosts") as found:
        yield found


def hosts(plan: Plan) -> dict[str, str]:
    return {host.node: host.state for host in plan.hosts}


async def test_all_hosts_run_the_release_and_the_plan_says_how_it_came_to_that(fleet: UpgradingFleet) -> None:
    async with fleet.leader():
        plan = await fleet.until(await fleet.begin(await fleet.publish()), *ENDED)
    assert plan.state == "done", plan.says
    assert fleet.versions() == {"h1": {NEW}, "h2": {NEW}, "h3": {NEW}}
    assert plan.services == {"daemon": NEW, "fleet": NEW, "supervisor": NEW}
    assert [(host.before, host.now, host.kept) for host in plan.hosts] == [
        (dict.fromkeys(plan.services, OLD), plan.services, 3)
    ] * 3
    assert {step.state for host in plan.hosts for step in host.services} == {"done"}
    assert (plan.history[0].what, plan.history[0].by) == ("created", "anna")
    working = [entry.node for entry in plan.history if entry.what == "working"]
    assert working == ["h1", "h2", "h3"]


async def test_a_failing_canary_touches_one_host_and_is_as_it_was(fleet: UpgradingFleet) -> None:
    async with fleet.leader():
        plan = await fleet.until(await fleet.begin(await fleet.publish(services={"supervisor": "fails"})), *ENDED)
    assert (plan.state, hosts(plan)) == ("rolled back", {"h1": "restored", "h2": "waiting", "h3": "waiting"})
    assert fleet.versions() == {"h1": {OLD}, "h2": {OLD}, "h3": {OLD}}
    assert "cannot use supervisor 0.1.1" in plan.hosts[0].says
    assert fleet.hosts["h2"].log() == []


async def test_a_gate_that_fails_takes_the_wave_back(fleet: UpgradingFleet) -> None:
    """The gate fails on the third host alone; the second is in its wave, the first isn't."""
    (fleet.hosts["h3"].directory / "bad").touch()
    gate = "test ! -e bad"
    async with fleet.leader():
        plan = await fleet.until(await fleet.begin(await fleet.publish(), gate=gate), *ENDED)
    assert (plan.state, hosts(plan)) == ("rolled back", {"h1": "done", "h2": "restored", "h3": "restored"})
    assert fleet.versions() == {"h1": {NEW}, "h2": {OLD}, "h3": {OLD}}
    assert "the gate " in plan.hosts[2].says


async def test_a_gate_that_takes_too_long_is_one_that_fails(fleet: UpgradingFleet) -> None:
    async with fleet.leader():
        begun = await fleet.begin(await fleet.publish(), gate="sleep 60", gate_seconds=1)
        plan = await fleet.until(begun, *ENDED)
    assert plan.state == "rolled back" and "hasn't ended within 1 s" in plan.hosts[0].says


async def test_a_host_in_neither_version_is_stuck_and_said_so(fleet: UpgradingFleet) -> None:
    (fleet.hosts["h1"].opt / "fleet" / "no-way-back").touch()
    async with fleet.leader():
        plan = await fleet.until(await fleet.begin(await fleet.publish(services={"fleet": "stuck"})), *ENDED)
    assert (plan.state, plan.says) == ("failed", "h1 is stuck")
    assert "isn't there any more" in plan.hosts[0].says


async def test_a_leader_may_end_at_any_step_and_the_next_goes_on(fleet: UpgradingFleet) -> None:
    """A new leader for every write that the plan has had: each is ended as soon as it has moved it once."""
    release = await fleet.publish()
    async with fleet.leader():
        id = await fleet.begin(release, Wave(hosts=1))
    leaders, plan = 1, await fleet.plan(id)
    while plan.state not in ENDED:
        leaders += 1
        assert leaders < 200
        async with fleet.leader(f"leader{leaders}"), asyncio.timeout(30):
            before = hosts(plan)
            while (plan := await fleet.plan(id)).state not in ENDED and hosts(plan) == before:
                await asyncio.sleep(0.01)
    assert plan.state == "done"
    assert fleet.versions() == {"h1": {NEW}, "h2": {NEW}, "h3": {NEW}}
    assert [len(host.log()) for host in fleet.hosts.values()] == [1, 1, 1], "some host was upgraded twice"
    assert len({entry.node for entry in plan.history if entry.what == "led"}) > 3


async def test_of_two_leaders_the_one_elected_first_stops(fleet: UpgradingFleet) -> None:
    release = await fleet.publish("slow")
    async with fleet.leader("old", term=5) as old:
        id = await fleet.begin(release)
        await fleet.until_host(id, "h1", "working")
        async with fleet.leader("new", term=9):
            async with asyncio.timeout(20):
                while (await fleet.plan(id)).fence != 9:
                    await asyncio.sleep(0.02)
            with pytest.raises(Exception, match="new leads, by the lease's revision 9; ours is 5"):
                await old.turn()
            for host in fleet.hosts.values():
                host.go()
            async with asyncio.timeout(60):
                while (plan := await fleet.plan(id)).state not in ENDED:
                    await asyncio.sleep(0.05)
    assert plan.state == "done" and plan.leader == "new"
    stale = upgrades.HostUpgrade(plan=id, attempt=1, fence=5, forward=False, release=release)
    with pytest.raises(errors.Conflict, match="a leader elected later has asked before"):
        await fleet.bus.call(upgrades.upgrade_host, stale, node="h1")


async def test_a_host_killed_in_the_middle_goes_on_when_it_is_back(fleet: UpgradingFleet) -> None:
    release = await fleet.publish(services={"fleet": "slow"})
    async with fleet.leader():
        id = await fleet.begin(release)
        await under_way(fleet, "h1")
        await fleet.hosts["h1"].crash()
        for host in fleet.hosts.values():
            host.go()
        await fleet.hosts["h1"].start()
        plan = await fleet.until(id, *ENDED)
    assert plan.state == "done"
    assert fleet.versions() == {"h1": {NEW}, "h2": {NEW}, "h3": {NEW}}
    assert len(fleet.hosts["h1"].log()) == 2


async def under_way(fleet: UpgradingFleet, node: str) -> None:
    """Wait until the host's program is in the middle of its work."""
    async with asyncio.timeout(30):
        while not fleet.hosts[node].log() or fleet.hosts[node].versions()["fleet"] != NEW:
            await asyncio.sleep(0.02)


async def test_a_host_whose_fleet_service_is_replaced_meanwhile_loses_nothing(fleet: UpgradingFleet) -> None:
    release = await fleet.publish(services={"fleet": "slow"})
    async with fleet.leader():
        id = await fleet.begin(release)
        await under_way(fleet, "h1")
        await fleet.hosts["h1"].stop()
        for host in fleet.hosts.values():
            host.go()
        await fleet.hosts["h1"].start()
        plan = await fleet.until(id, *ENDED)
    assert plan.state == "done"
    assert len(fleet.hosts["h1"].log()) == 1


async def test_a_host_that_stays_away_is_given_up_and_taken_back_when_it_returns(fleet: UpgradingFleet) -> None:
    release = await fleet.publish(services={"fleet": "slow"})
    async with fleet.leader():
        id = await fleet.begin(release, away_seconds=10)
        await under_way(fleet, "h1")
        await fleet.hosts["h1"].crash()
        plan = await fleet.until(id, *ENDED)
        assert (plan.state, hosts(plan)["h1"]) == ("failed", "lost")
        await fleet.hosts["h1"].start()
        plan = await fleet.until(id, "rolled back")
    assert hosts(plan) == {"h1": "restored", "h2": "waiting", "h3": "waiting"}
    assert fleet.versions() == {"h1": {OLD}, "h2": {OLD}, "h3": {OLD}}


async def test_pause_resume_abort_and_rollback(fleet: UpgradingFleet) -> None:
    release = await fleet.publish("slow")
    async with fleet.leader():
        id = await fleet.begin(release, Wave(hosts=1))
        await fleet.until_host(id, "h1", "working")
        paused = await fleet.bus.call(upgrades.upgrade_pause, Decision(id=id, by="bert"))
        assert paused.state == "paused"
        for host in fleet.hosts.values():
            host.go()
        await fleet.until_host(id, "h1", "done")
        assert hosts(await fleet.plan(id))["h2"] == "waiting"
        with pytest.raises(
            errors.Conflict, match=r"cannot begin an upgrade: .* is paused; wait for its end, or abort it"
        ):
            await fleet.begin(release)
        with pytest.raises(errors.Conflict, match=r"cannot pause an upgrade that is paused"):
            await fleet.bus.call(upgrades.upgrade_pause, Decision(id=id[:-1], by="bert"))
        await fleet.bus.call(upgrades.upgrade_resume, Decision(id=id, by="anna"))
        await fleet.until_host(id, "h2", "done")
        await fleet.bus.call(upgrades.upgrade_abort, Decision(id=id, by="anna"))
        ended = await fleet.until(id, "aborted", "done")
        await fleet.bus.call(upgrades.upgrade_rollback, Decision(id=id, by="carl"))
        plan = await fleet.until(id, "rolled back")
    assert fleet.versions() == {"h1": {OLD}, "h2": {OLD}, "h3": {OLD}}
    told = [(entry.what, entry.by) for entry in plan.history if entry.by]
    assert told == [
        ("created", "anna"),
        ("paused", "bert"),
        ("running", "anna"),
        *([("aborting", "anna")] if ended.state == "aborted" else told[3:4]),
        ("rolling back", "carl"),
    ]


async def test_after_an_abort_with_nobody_at_work_the_next_upgrade_is_begun(fleet: UpgradingFleet) -> None:
    release = await fleet.publish()
    async with fleet.leader():
        first = await fleet.begin(release, Wave(hosts=1), pause_between=600)
        await fleet.until(first, "resting")
        await fleet.bus.call(upgrades.upgrade_abort, Decision(id=first, by="anna"))
        assert (await fleet.until(first, "aborted")).hosts[1].state == "waiting"
        second = await fleet.begin(release)
        assert (await fleet.until(second, *ENDED)).state == "done"
    assert [len(host.log()) for host in fleet.hosts.values()] == [2, 1, 1]


async def test_hosts_in_the_middle_are_taken_back_at_their_next_step(fleet: UpgradingFleet) -> None:
    release = await fleet.publish(services={"fleet": "slow"})
    async with fleet.leader():
        id = await fleet.begin(release)
        await under_way(fleet, "h1")
        await fleet.bus.call(upgrades.upgrade_rollback, Decision(id=id, by="anna"))
        plan = await fleet.until(id, *ENDED)
    assert (plan.state, hosts(plan)["h1"]) == ("rolled back", "restored")
    assert fleet.versions()["h1"] == {OLD}


async def test_a_host_that_is_orphaned_in_the_middle_takes_itself_back(
    fleet: UpgradingFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seaway_fleet.upgrade.host.ORPHANED", 0.2)
    release = await fleet.publish(services={"fleet": "slow"})
    async with fleet.leader():
        await fleet.begin(release)
        await under_way(fleet, "h1")
    await fleet.hosts["h1"].crash()
    await fleet.hosts["h1"].start()
    await fleet.hosts["h1"].part.settle()
    async with asyncio.timeout(30):
        while fleet.versions()["h1"] != {OLD}:
            await asyncio.sleep(0.02)


# --- what isn't to be trusted ----------------------------------------------------------------------------------------


async def ask(fleet: UpgradingFleet, release: str, node: str = "h2") -> upgrades.HostProgress:
    """What a host makes of a release, though the leader should have refused it."""
    asked = upgrades.HostUpgrade(plan="p1", attempt=1, fence=1, forward=True, release=release, services=("daemon",))
    async with asyncio.timeout(20):
        while (said := await fleet.bus.call(upgrades.upgrade_host, asked, node=node)).state in ("fetching", "working"):
            await asyncio.sleep(0.02)
    return said


async def test_a_release_signed_by_somebody_else_is_refused(fleet: UpgradingFleet) -> None:
    store, other = fleet.bus.store(memory.PACKAGES), Key.generate("user")
    manifest = Manifest(id="evil", serial=1, packages=())
    await store.put("release.evil", [fleet.signed(manifest, other).text()])
    said = await ask(fleet, "evil")
    assert said.state == "restored" and f"it is signed with {other.public}, and this fleet trusts" in said.says
    async with fleet.leader():
        with pytest.raises(errors.PermissionDenied, match="this fleet trusts"):
            await fleet.begin("evil")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text.replace(b"0.1.1", b"6.6.6"), "its manifest isn't what was signed"),
        (lambda text: text.partition(b"\n")[2], "its manifest isn't signed"),
        (lambda text: text.replace(b" ", b" AAAA", 1), "its manifest isn't what was signed"),
    ],
    ids=["changed", "unsigned", "another signature"],
)
async def test_a_manifest_that_was_changed_is_refused(fleet: UpgradingFleet, spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    store, release = fleet.bus.store(memory.PACKAGES), await fleet.publish()
    name = releases.release_object(release)
    await store.put(name, [spoil(b"".join([piece async for piece in store.get(name)]))])
    said = await ask(fleet, release)
    assert said.state == "restored" and says in said.says, said.says


async def test_a_package_that_was_changed_is_refused_and_not_kept(fleet: UpgradingFleet) -> None:
    store, release = fleet.bus.store(memory.PACKAGES), await fleet.publish()
    for blob in await store.list():
        if blob.name.startswith("sha256."):
            await store.put(blob.name, [b"evil"])
    said = await ask(fleet, release)
    assert said.state == "restored" and "its content isn't what was signed" in said.says
    assert fleet.hosts["h2"].log() == []
    assert not list((fleet.hosts["h2"].directory / "fleet" / "packages").rglob("*.deb"))


async def test_a_release_older_than_one_that_was_accepted_is_refused(fleet: UpgradingFleet) -> None:
    older, newer = await fleet.publish(serial=7), await fleet.publish(serial=8)
    async with fleet.leader():
        assert (await fleet.until(await fleet.begin(newer), *ENDED)).state == "done"
        plan = await fleet.until(await fleet.begin(older), *ENDED)
    assert plan.state == "rolled back"
    assert "it is older (serial 7) than one that this host has accepted (8)" in plan.hosts[0].says


async def test_what_makes_no_sense_is_refused_before_anything_is_begun(fleet: UpgradingFleet) -> None:
    release = await fleet.publish()
    async with fleet.leader():
        for request, kind, says in (
            (NewUpgrade(release="none"), errors.NotFound, "release.none"),
            (NewUpgrade(release=release, services=("runtime",)), errors.NotFound, "cannot upgrade runtime"),
            (NewUpgrade(release=release, nodes=("h9",)), errors.NotFound, "no host is h9"),
            (NewUpgrade(release=release, labels=("disk",)), errors.NotFound, "no host is meant"),
            (NewUpgrade(release=release, waves=()), errors.InvalidArgument, "it has no waves"),
        ):
            with pytest.raises(kind, match=says):
                await fleet.bus.call(upgrades.upgrade_create, request)
        shown = await fleet.bus.call(upgrades.upgrade_create, NewUpgrade(release=release, dry_run=True))
        assert [host.wave for host in shown.hosts] == [0, 1, 2]
        assert await fleet.bus.bucket(memory.PLANS).entries() == []
