"""What a host may not, tried: by its own server, and by one that obeys nobody but has the host's credential.

The hub must refuse it whatever the host's own server does; each thing that may not be said costs the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from integration.bus.test_leaf import serve
from seaway_bus import roles
from seaway_bus.permissions import SELF
from seaway_protocol import errors, fleet, memory
from seaway_protocol.fleet import Ask, Host
from seaway_protocol.kinds import Empty
from support.fleet_bus import FleetBus
from support.hostile_leaf import hostile_leaf

NEVER_SAID = (
    "sw1.evt.h1.container.started.c1",  # as another host
    "sw1.hb.h1",
    "sw1.ans.h1.daemon.p.1.h3",
    "sw1.ans.h1.daemon.p.1.=",  # as the hub
    "sw1.ans.h1.daemon.p.1._",
    "sw1.cmd.h1.supervisor.create",  # another host's own services
    "sw1.cmd.h1.shim.c1.signal",
    "sw1.cmd.h1.nursery.spawn",
    "sw1.cmd.h1.runtime.delete",
    "sw1.io.h1.c1.stdin.data",  # its containers' stdio
    "sw1.io.h1.fleet.h3.f1.data",  # flows between others
    "_INBOX_daemon.p.1",  # answers to others' services
    "_INBOX.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "$SRV.PING",
    "$JS.API.STREAM.NAMES",
    "$JS.hub.API.STREAM.DELETE.KV_SW_NODE",
    "$JS.hub.API.STREAM.PURGE.KV_SW_NODE",
    "$JS.hub.API.STREAM.UPDATE.KV_SW_NODE",
    "$JS.hub.API.STREAM.CREATE.MINE",
    "$JS.hub.API.CONSUMER.CREATE.KV_SW_NODE.mine",  # its deliver subject would have the hub speak for us
    "$JS.hub.API.DIRECT.GET.KV_SW_HOST",  # so would the reply to it
    "$JS.hub.API.STREAM.MSG.GET.KV_SW_TOKEN",
    "$JS.hub.API.$KV.SW_NODE.h2",
    "$JS.hub.API.$KV.SW_HOST.h1",
    "$JS.hub.API.$KV.SW_LEASE.leader",
    "$JS.hub.API.$KV.SW_PLAN.p1",
    "$JS.hub.API.$KV.SW_PACKAGE.F.x",
    "$KV.SW_HOST.h2",
    "sw1.mem.SW_NODE.h9",  # as if the fleet remembered it
    "sw1.cmd.h1.upgrades.upgrade_host",  # what only the leader asks
    "sw1.ctl.enrolment.admit",
)

NEVER_HEARD = (
    *(">", "sw1.>", "sw1.*.>", "sw1.ans.>", "sw1.ans.h1.>", "sw1.ans.*.*.*.*.h2", "sw1.cmd.>", "sw1.cmd.h1.>"),
    *("sw1.cmd.*.fleet.*", "sw1.io.>", "sw1.io.h1.>", "sw1.io.h1.c1.>", "sw1.io.*.fleet.h3.>", "sw1.ctl.>"),
    *("sw1.ctl.enrolment.*", "sw1.mem.>", "sw1.mem.SW_TOKEN.>", "_INBOX.>", "_INBOX_daemon.>"),
    *("$SYS.>", "$KV.>", "$JS.>", "$JS.hub.API.>", "$SRV.>"),
)

MEMBERS_NEVER_SAY = (
    *("sw1.cmd.h1.fleet.membership", "sw1.cmd.h1.fleet.dial", "sw1.all.fleet.containers", "sw1.ctl.fleet.evict"),
    *("sw1.ctl.fleet.new_token", "sw1.ctl.upgrades.upgrade_create", "sw1.io.h1.fleet.h2.f1.data"),
)

MEMBERS_NEVER_HEAR = ("sw1.evt.>", "sw1.evt.h1.>", "sw1.hb.*", "sw1.io.*.fleet.h2.>")


async def say(fleet_bus: FleetBus, subject: str, reply: str) -> bool:
    """Whether h2 could say it to the hub; it loses its connection where it couldn't."""
    async with hostile_leaf(fleet_bus.hubs[0].address, fleet_bus.hosts["h2"].place) as leaf:
        leaf.say(subject, b"\x80", reply)
        return await leaf.settle()


@pytest.mark.parametrize("role", ["controller", "member"])
async def test_a_host_that_obeys_nobody_can_say_nothing_it_may_not(fleet_bus: FleetBus, role: str) -> None:
    await fleet_bus.start("h1", h2=role)
    await fleet_bus.ensure()
    heard: list[str] = []
    witness = await fleet_bus.bus("h1")
    witness._connection.subscribe(">", lambda message: heard.append(message.subject))
    await witness.settle()
    fleet_bus.hosts["h2"].server.stop()
    said = NEVER_SAID + (MEMBERS_NEVER_SAY if role == "member" else ())
    borne = [subject for subject in said if await say(fleet_bus, subject, "sw1.ans.h2.daemon.p.1.h1")]
    assert not borne
    assert await say(fleet_bus, "sw1.hb.h2", "")  # what it may say, it can
    await asyncio.sleep(0.2)
    assert not set(heard) & set(said)


@pytest.mark.parametrize("role", ["controller", "member"])
async def test_a_host_that_obeys_nobody_hears_nothing_it_may_not(fleet_bus: FleetBus, role: str) -> None:
    await fleet_bus.start("h1", h2=role, h3="controller")
    await fleet_bus.ensure()
    buses = await serve(fleet_bus, "h1", "h3")
    daemon, supervisor, tester = [await fleet_bus.bus("h1", name) for name in ("daemon", "supervisor", "tester")]
    fleet_bus.hosts["h2"].server.stop()
    async with hostile_leaf(fleet_bus.hubs[0].address, fleet_bus.hosts["h2"].place) as leaf:
        never = NEVER_HEARD + (MEMBERS_NEVER_HEAR if role == "member" else ())
        for subject in never:
            leaf.listen(subject)
        assert await leaf.settle()
        await daemon.call(fleet.membership, Empty(), node="h3", patience=10)
        await daemon.gather(fleet.usage, Ask(), expected=("h1", "h3"), seconds=10)
        await buses["h1"].bucket(memory.TOKENS)._memory.put("k", b"secret", {}, 5)
        await buses["h1"].bucket(memory.HOSTS).put("h1", Host(node="h1"))
        secret = [b"secret"]
        for subject in ("sw1.io.h1.c1.stdout.data", "sw1.io.h3.fleet.h1.f.data", "sw1.cmd.h1.supervisor.x"):
            tester._connection.publish(subject, secret[0])
        supervisor._connection.publish("_INBOX_supervisor.x", secret[0])
        tester._connection.publish("sw1.evt.h1.a.b.c", b"event")
        for bus in (daemon, supervisor, tester, *buses.values()):
            await bus.settle()
        assert await leaf.settle()
        await asyncio.sleep(0.3)
        await leaf.settle()
        allowed = roles.leaf("member" if role == "member" else "controller").subscribe
        for subject, payload in leaf.heard:
            assert payload not in secret, subject
            assert any(matches(each.replace(SELF, "h2"), subject) for each in allowed), subject
        assert role == "controller" or not any(subject.startswith("sw1.evt.") for subject, _ in leaf.heard)


def matches(pattern: str, subject: str) -> bool:
    words, tokens = pattern.split("."), subject.split(".")
    if words[-1] == ">":
        words, tokens = words[:-1], tokens[: len(words) - 1]
    return len(words) == len(tokens) and all(w in ("*", t) for w, t in zip(words, tokens, strict=True))


async def test_a_hosts_own_server_keeps_in_what_must_stay(fleet_bus: FleetBus) -> None:
    """With all rights on its own host, by its own server: it is simply not heard elsewhere, and stays connected."""
    await fleet_bus.start("h1", "h2", h3="member")
    await serve(fleet_bus)
    heard: list[str] = []
    for node in ("h1", "h3"):
        witness = await fleet_bus.bus(node)
        for subject in NEVER_SAID:
            witness._connection.subscribe(subject, lambda message: heard.append(message.subject))
        await witness.settle()
    hostile, member = await fleet_bus.bus("h2"), await fleet_bus.bus("h3")
    for subject in NEVER_SAID:
        if not subject.startswith("$"):
            hostile._connection.publish(subject, b"\x80", "sw1.ans.h2.tester.p.1.h1")
    await hostile.settle()
    assert (await hostile.call(fleet.membership, Empty(), node="h1", patience=10)).node == "h1"
    for call, request, node in ((fleet.membership, Empty(), "h1"), (fleet.new_token, None, None)):
        with pytest.raises(errors.Unavailable):
            await member.call(call, request or fleet.NewToken(), node=node)  # type: ignore[arg-type]
    assert (await member.gather(fleet.usage, Ask(), expected=("h1", "h3"), seconds=2)).missing == ("h1",)
    seen: Any = set(heard) & set(NEVER_SAID)
    assert not seen


async def test_a_credential_is_no_use_without_its_key_or_without_a_certificate(fleet_bus: FleetBus) -> None:
    await fleet_bus.start("h1", "h2", "h3")
    place, other = fleet_bus.hosts["h2"].place, fleet_bus.hosts["h3"].place
    stolen = (place / "leaf.creds").read_text().split("-----BEGIN USER")[0]
    (place / "leaf.creds").write_text(
        stolen + "-----BEGIN USER" + (other / "leaf.creds").read_text().split("-----BEGIN USER")[1]
    )
    fleet_bus.hosts["h2"].server.stop()
    with pytest.raises((OSError, AssertionError, TimeoutError)):
        async with hostile_leaf(fleet_bus.hubs[0].address, place) as leaf:
            assert await leaf.settle()
    (other / "host.pem").write_text("")
    with pytest.raises(OSError):
        async with hostile_leaf(fleet_bus.hubs[0].address, other):
            pass
