"""Hosts and containers of a fleet in Docker's words, and the description of their API."""

from __future__ import annotations

import msgspec
import pytest
from seaway_daemon.api.query import Query
from seaway_daemon.fleet import shapes
from seaway_daemon.fleet.asking import means, natural
from seaway_daemon.fleet.openapi import document
from seaway_daemon.fleet.parameters import seconds, selection
from seaway_daemon.routes import ROUTES
from seaway_daemon.times import SECOND
from seaway_protocol.errors import InvalidArgument
from seaway_protocol.fleet import ContainerBrief, Host, ImageBrief, Seen, Selection, Versions
from seaway_protocol.types import PortBinding


def test_a_container_is_told_as_docker_ps_has_it() -> None:
    brief = ContainerBrief(
        id="a" * 64,
        name="web",
        image="nginx:1",
        created_at=5 * SECOND,
        status="running",
        started_at=10 * SECOND,
        health="healthy",
        ports=(PortBinding(port=80, host_port=8080),),
        exposed=("80/tcp", "443/tcp"),
    )
    told = msgspec.to_builtins(shapes.container(brief, "h1", 13 * SECOND))
    assert (told["Node"], told["Names"], told["Created"], told["ImageID"]) == ("h1", ("/web",), 5, "")
    assert told["Status"] == "Up 3 seconds (healthy)"
    assert [(each["PrivatePort"], each["PublicPort"], each["IP"]) for each in told["Ports"]] == [
        (80, 8080, "0.0.0.0"),
        (443, 0, ""),
    ]
    ended = ContainerBrief(id="b", name="b", image="i", status="exited", exit_code=3, finished_at=SECOND)
    assert shapes.container(ended, "h1", 61 * SECOND).status == "Exited (3) About a minute ago"


def test_a_host_that_does_not_answer_is_silent_or_lost() -> None:
    known = Host(node="h1", versions=Versions(services={"daemon": "1"}), load=1500)
    assert shapes.host(known).state == "ready" and shapes.host(known).load == 1.5
    assert shapes.absent(Seen(host=known, at=SECOND)).state == "silent"
    assert shapes.absent(Seen(host=known, at=SECOND, lost=True)).state == "lost"


def test_an_image_on_many_hosts_is_one() -> None:
    def image(id: str, created: int, *tags: str) -> ImageBrief:
        return ImageBrief(id=id, tags=tags, created_at=created * SECOND, size=created, containers=1)

    told = shapes.images({"h1": [image("1", 1, "a:1")], "h2": [image("1", 1, "b:1", "a:1"), image("2", 2)]})
    assert [(each.id, each.nodes, each.containers) for each in told] == [("2", ("h2",), 1), ("1", ("h1", "h2"), 2)]
    assert told[1].repo_tags == ("a:1", "b:1")


def test_hosts_are_in_the_order_in_which_people_count() -> None:
    assert sorted(["h10", "h2", "a", "h2b1", "h2a"], key=natural) == ["a", "h2", "h2a", "h2b1", "h10"]


def test_which_hosts_are_asked() -> None:
    on = selection(Query("node=h1&node=h2&on=region%3Deu&on=label%3Dfast"))
    assert on == Selection(nodes=("h1", "h2"), labels=("region=eu", "fast"))
    assert means(on, Seen(host=Host(node="h1", labels={"region": "eu", "fast": ""}), at=0))
    assert not means(on, Seen(host=Host(node="h1", labels={"region": "us", "fast": ""}), at=0))
    assert not means(on, Seen(host=Host(node="h3", labels={"region": "eu", "fast": ""}), at=0))


@pytest.mark.parametrize("text", ["0", "61", "x", "nan", "-1"])
def test_a_time_that_no_host_can_keep_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="timeout"):
        seconds(Query(f"timeout={text}"), 1.0)


def test_the_description_has_every_operation_once_and_no_loose_end() -> None:
    made = document(ROUTES)
    text = msgspec.json.encode(made).decode()
    identities = [each["operationId"] for path in made["paths"].values() for each in path.values()]
    assert len(identities) == len(set(identities))
    for name in {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in made["components"]["schemas"]
    assert all(path.startswith("/fleet") for path in made["paths"])
