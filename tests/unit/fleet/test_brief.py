"""Containers and images in a few words, and which of them are meant."""

from __future__ import annotations

import pytest
from seaway_fleet.brief import container_brief, image_brief, meant, pages_end, wanted, wanted_image
from seaway_protocol.fleet import AskContainers, AskImages, Selection
from seaway_protocol.types import (
    Container,
    ContainerSpec,
    ContainerState,
    Endpoint,
    ExitStatus,
    Health,
    Healthcheck,
    Image,
    NetworkSpec,
    PortBinding,
    ProcessSpec,
    Sandbox,
)


def container(
    status: str = "running", *, image: str = "nginx:1", health: Healthcheck | None = None, exit_code: int = 0
) -> Container:
    return Container(
        id="a" * 64,
        name="web-1",
        spec=ContainerSpec(image=image, network=NetworkSpec(exposed=("80", "53/udp")), origin=b"{}"),
        image_id="sha256:" + "b" * 64,
        created_at=5,
        state=ContainerState(status=status, exit=ExitStatus(code=exit_code)),
        process=ProcessSpec(args=("sh", "-c", "a b")),
        labels={"tier": "front", "plain": ""},
        health=health,
        sandbox=Sandbox(
            container="a" * 64,
            endpoints=(Endpoint(network="shop", network_id="n", ipv4="10.1.0.2"),),
            ports=(PortBinding(port=80, host_port=8080),),
        ),
    )


def test_a_running_container_tells_its_ports_and_addresses() -> None:
    told = container_brief(container())
    assert (told.name, told.image, told.status, told.command) == ("web-1", "nginx:1", "running", "sh -c 'a b'")
    assert told.addresses == {"shop": "10.1.0.2"}
    assert told.exposed == ("80/tcp", "53/udp")
    assert told.ports == (PortBinding(port=80, host_port=8080),)
    assert told.health == ""


def test_one_that_has_ended_tells_its_code_and_no_ports() -> None:
    told = container_brief(container("exited", exit_code=3))
    assert (told.exit_code, told.ports, told.exposed) == (3, (), ())
    assert container_brief(container(exit_code=3)).exit_code == 0, "that was its last run's"


def test_health_is_starting_until_the_first_probe() -> None:
    checked = container(health=Healthcheck(test=("CMD", "true")))
    assert container_brief(checked).health == "starting"
    assert container_brief(container(health=Healthcheck(test=("NONE",)))).health == ""
    state = ContainerState(health=Health(status="healthy"))
    probed = Container(id="a", name="a", spec=checked.spec, image_id="", created_at=0, state=state)
    assert container_brief(probed).health == "healthy"


@pytest.mark.parametrize(
    ("status", "ask", "expected"),
    [
        ("running", AskContainers(), True),
        ("paused", AskContainers(), True),
        ("exited", AskContainers(), False),
        ("exited", AskContainers(all=True), True),
        ("exited", AskContainers(statuses=("exited",)), True),
        ("running", AskContainers(statuses=("exited",), all=True), False),
        ("running", AskContainers(labels=("tier",)), True),
        ("running", AskContainers(labels=("tier=front", "plain")), True),
        ("running", AskContainers(labels=("tier=front", "plain=x")), False),
        ("running", AskContainers(names=("b-1", "nothing")), True),
        ("running", AskContainers(names=("nothing",)), False),
        ("running", AskContainers(images=("nginx",)), True),
        ("running", AskContainers(images=("nginx:1",)), True),
        ("running", AskContainers(images=("ngin", "nginx:2")), False),
    ],
)
def test_which_containers_are_meant(status: str, ask: AskContainers, expected: bool) -> None:
    assert wanted(container(status), ask) is expected


def test_which_images_are_meant() -> None:
    image = Image(id="sha256:1", tags=("shop/web:1",), digests=("shop/web@sha256:2",), containers=-1)
    assert wanted_image(image, AskImages())
    assert wanted_image(image, AskImages(names=("nothing", "op/web")))
    assert not wanted_image(image, AskImages(names=("nginx",)))
    assert image_brief(image).containers == 0


def test_which_hosts_are_meant() -> None:
    labels = {"region": "eu", "fast": ""}
    assert meant(Selection(), "h1", labels)
    assert meant(Selection(nodes=("h2", "h1"), labels=("region=eu", "fast")), "h1", labels)
    assert not meant(Selection(nodes=("h2",)), "h1", labels)
    assert not meant(Selection(labels=("region=us",)), "h1", labels)


def test_a_page_has_one_at_least_and_no_more_than_fit() -> None:
    assert pages_end([], 10) == 0
    assert pages_end([50, 1], 10) == 1
    assert pages_end([4, 4, 2, 1], 10) == 3
