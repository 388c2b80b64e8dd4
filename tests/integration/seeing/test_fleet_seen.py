"""What all hosts of a fleet have, in one answer, and what it says where some don't answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
from seaway_protocol.fleet import Membership
from seaway_protocol.types import Image
from seeing_peer import Peer, container, know
from support.api import Answer, Api


async def ask(daemon: Path, path: str, **query: Any) -> Answer:
    """One request, beside the loop that the hosts answer in."""
    return await asyncio.to_thread(Api(daemon).request, "GET", path, **query)


def names(answer: Answer) -> list[tuple[str, str]]:
    return [(each["Node"], each["Names"][0]) for each in answer.json["Items"]]


async def test_the_containers_of_all_hosts_are_in_one_answer(daemon: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].containers = [container("web", tier="front"), container("old", status="exited")]
    hosts["h2"].containers = [container("db", tier="back")]
    hosts["h3"].containers = [container("web-2", tier="front"), container("cache", tier="back")]

    running = await ask(daemon, "/fleet/containers")
    assert names(running) == [("h2", "/db"), ("h3", "/web-2"), ("h3", "/cache"), ("n1", "/web")]
    assert running.json["Missing"] == [] and running.json["Errors"] == {}
    assert running.json["Items"][0]["Status"].startswith("Up ")
    assert len(names(await ask(daemon, "/fleet/containers", all=1))) == 5
    assert names(await ask(daemon, "/fleet/containers", filters=json.dumps({"label": ["tier=front"]}))) == [
        ("h3", "/web-2"),
        ("n1", "/web"),
    ]
    assert names(await ask(daemon, "/fleet/containers", filters=json.dumps({"status": ["exited"]}))) == [("n1", "/old")]
    assert names(await ask(daemon, "/fleet/containers", filters=json.dumps({"name": ["cach"]}))) == [("h3", "/cache")]
    assert names(await ask(daemon, "/fleet/containers", on="region=eu")) == [("h2", "/db"), ("n1", "/web")]
    assert names(await ask(daemon, "/fleet/containers", on="label=disk", filters="{}")) == [("h2", "/db")]
    assert names(await ask(daemon, "/fleet/containers", node="h3", limit=1)) == [("h3", "/web-2")]


async def test_more_than_a_message_carries_is_paged(daemon: Path, hosts: dict[str, Peer]) -> None:
    hosts["h2"].containers = [container(f"c{number}", number=number, padding="x" * 300) for number in range(2000)]
    answer = await ask(daemon, "/fleet/containers", timeout=20)
    assert [name for _, name in names(answer)] == [f"/c{number}" for number in range(2000)]
    assert answer.json["Errors"] == {}


async def test_who_does_not_answer_and_who_refuses_is_named(daemon: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].containers = [container("web")]
    hosts["h2"].refuses = True
    await hosts["h3"].fall_silent()
    know(hosts, "h9", also=("h9",))
    answer = await ask(daemon, "/fleet/containers", timeout=3)
    assert names(answer) == [("n1", "/web")]
    assert answer.json["Missing"] == ["h3", "h9"]
    assert answer.json["Errors"] == {"h2": "cannot list the containers: the disk is away"}

    listed = await ask(daemon, "/fleet/hosts", timeout=3)
    states = {each["Node"]: each["State"] for each in listed.json["Items"]}
    assert states == {"n1": "ready", "h2": "ready", "h3": "silent", "h9": "lost"}
    assert (await ask(daemon, "/fleet/hosts/h9", timeout=3)).json["State"] == "lost"
    assert (await ask(daemon, "/fleet/hosts/h4")).message == "no such host in the fleet: h4"


async def test_images_are_listed_once_and_disks_are_summed(daemon: Path, hosts: dict[str, Peer]) -> None:
    image = Image(id="sha256:" + "1" * 64, tags=("busybox:latest",), created_at=10**18, size=5, containers=2)
    hosts["n1"].images = [image]
    hosts["h2"].images = [msgspec.structs.replace(image, tags=("local/busybox:1",), containers=1)]
    (only,) = (await ask(daemon, "/fleet/images")).json["Items"]
    assert only["RepoTags"] == ["local/busybox:1", "busybox:latest"]
    assert only["Nodes"] == ["h2", "n1"] and only["Containers"] == 3
    assert (await ask(daemon, "/fleet/images", filters=json.dumps({"reference": ["nginx"]}))).json["Items"] == []

    usage = (await ask(daemon, "/fleet/df")).json
    assert [(each["Node"], each["Images"]) for each in usage["Items"]] == [("h2", 1), ("h3", 0), ("n1", 1)]
    assert usage["Total"]["Images"] == 2 and usage["Total"]["ImageBytes"] == 3000


async def test_a_host_in_no_fleet_and_one_that_only_answers_are_told_so(daemon: Path, hosts: dict[str, Peer]) -> None:
    hosts["n1"].place = Membership(node="n1")
    alone = await ask(daemon, "/fleet/containers")
    assert alone.status == 409 and "seaway fleet init" in alone.message
    hosts["n1"].place = Membership(node="n1", fleet="test", role="member")
    assert (await ask(daemon, "/fleet/events")).status == 403
    member = await ask(daemon, "/fleet/hosts")
    assert member.status == 403 and "only answers" in member.message
    await hosts["n1"].fall_silent()


async def test_what_is_asked_wrongly_is_refused(daemon: Path, hosts: dict[str, Peer]) -> None:
    for path in ("/fleet/containers", "/fleet/events", "/fleet/logs", "/fleet/targets"):
        unknown = await ask(daemon, path, node="h4")
        assert (unknown.status, unknown.message) == (404, "no such host in the fleet: h4")
    for query in ({"timeout": "0"}, {"timeout": "x"}, {"limit": "x"}, {"filters": "{"}, {"filters": '{"a": ["b"]}'}):
        assert (await ask(daemon, "/fleet/containers", **query)).status == 400, query
