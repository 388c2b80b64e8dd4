"""What a Prometheus is told to scrape."""

from __future__ import annotations

import pytest
from seaway_daemon.fleet.targets import of_container, of_host
from seaway_protocol.fleet import ContainerBrief, Host, Seen
from seaway_protocol.types import PortBinding


def seen(address: str = "10.0.0.2") -> Seen:
    return Seen(host=Host(node="h2", address=address, labels={"disk.kind": "fast"}), at=0)


def brief(*ports: PortBinding, **labels: str) -> ContainerBrief:
    named = {key.replace("_", "."): value for key, value in labels.items()}
    return ContainerBrief(id="a", name="web", image="nginx:1", labels=named, ports=ports)


def test_hosts_carry_their_name_and_labels() -> None:
    assert of_host(seen()) == {"node": "h2", "__meta_seaway_host_disk_kind": "fast"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.2", "10.0.0.2:9100"),
        ("10.0.0.2:4523", "10.0.0.2:9100"),
        ("fd00::2", "[fd00::2]:9100"),
        ("[fd00::2]:4523", "[fd00::2]:9100"),
        ("h2.example:4523", "h2.example:9100"),
    ],
)
def test_a_container_is_scraped_where_its_port_is_published(address: str, expected: str) -> None:
    given = brief(PortBinding(port=80, host_port=9100), PortBinding(port=81, host_port=1), prometheus_port="80")
    (target,) = of_container(given, seen(address))
    assert target.targets == (expected,)
    assert target.labels["container"] == "web" and target.labels["node"] == "h2"
    assert "__metrics_path__" not in target.labels


def test_a_container_may_say_its_path() -> None:
    given = brief(PortBinding(port=80, host_port=9100), prometheus_port="80", prometheus_path="/m")
    (target,) = of_container(given, seen())
    assert target.labels["__metrics_path__"] == "/m"


def test_what_others_cannot_reach_is_no_target() -> None:
    local = PortBinding(port=80, host_port=9100, host_address="127.0.0.1")
    assert not list(of_container(brief(local, prometheus_port="80"), seen()))
    assert not list(of_container(brief(PortBinding(port=81, host_port=1), prometheus_port="80"), seen()))
