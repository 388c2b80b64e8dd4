"""docker network: making networks, joining and leaving them, and the names that containers have there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from support.docker import Docker


@pytest.fixture
def net(docker: Docker, name: str) -> Iterator[str]:
    """A network of the test's own, removed after it."""
    docker.ok("network", "create", f"{name}-net")
    yield f"{name}-net"
    with contextlib.suppress(AssertionError):
        for container in docker.ok("ps", "-aqf", f"network={name}-net").split():
            docker("rm", "-f", container)
        docker.ok("network", "rm", f"{name}-net")


def test_a_network_is_listed_inspected_and_removed(docker: Docker, name: str) -> None:
    id = docker.ok("network", "create", "--subnet", "10.231.0.0/24", "--label", "a=b", name)
    (shown,) = json.loads(docker.ok("network", "inspect", name))
    assert (shown["Id"], shown["Driver"], shown["Labels"]) == (id, "bridge", {"a": "b"})
    assert shown["IPAM"]["Config"][0]["Subnet"] == "10.231.0.0/24"
    assert name in docker.ok("network", "ls", "--format", "{{.Name}}").split()
    assert docker.ok("network", "rm", name) == name
    assert docker("network", "inspect", name).code == 1


def test_the_predefined_ones_are_there_and_stay(docker: Docker) -> None:
    assert {"bridge", "host", "none"} <= set(docker.ok("network", "ls", "--format", "{{.Name}}").split())
    refused = docker("network", "rm", "bridge")
    assert refused.code == 1 and "pre-defined network" in refused.err


def test_containers_of_a_network_know_each_other_by_name(docker: Docker, image: str, name: str, net: str) -> None:
    docker.ok("run", "-d", "--network", net, "--network-alias", "db", "--name", name, image, "sleep", "60")
    address = docker.ok("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{net}").IPAddress}}}}', name)
    for wanted in (name, "db"):
        said = docker.ok("run", "--rm", "--network", net, image, "ping", "-c", "1", "-W", "2", wanted)
        assert f"({address})" in said


def test_an_address_may_be_asked_for(docker: Docker, image: str, name: str) -> None:
    docker.ok("network", "create", "--subnet", "10.232.0.0/24", name)
    try:
        said = docker.ok(
            "run", "--rm", "--network", name, "--ip", "10.232.0.77", image, "ip", "-4", "addr", "show", "eth0"
        )
        assert "inet 10.232.0.77/24" in said
    finally:
        docker.ok("network", "rm", name)


def test_a_running_container_joins_and_leaves(docker: Docker, image: str, name: str, net: str) -> None:
    docker.ok("run", "-d", "--name", name, image, "sleep", "60")
    docker.ok("network", "connect", "--alias", "late", net, name)
    assert "eth1" in docker.ok("exec", name, "ls", "/sys/class/net").split()
    assert name in docker.ok("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", net).split()
    docker.ok("run", "--rm", "--network", net, image, "ping", "-c", "1", "-W", "2", "late")
    docker.ok("network", "disconnect", net, name)
    assert "eth1" not in docker.ok("exec", name, "ls", "/sys/class/net").split()


def test_a_link_is_a_name_for_the_one_container_alone(docker: Docker, image: str, name: str, net: str) -> None:
    docker.ok("run", "-d", "--network", net, "--name", name, image, "sleep", "60")
    linked = ("run", "--rm", "--network", net, "--link", f"{name}:store", image)
    docker.ok(*linked, "ping", "-c", "1", "-W", "2", "store")
    docker.ok(*linked, "ping", "-c", "1", "-W", "2", name)
    assert docker("run", "--rm", "--network", net, image, "ping", "-c", "1", "-W", "1", "store").code != 0


def test_one_that_has_left_its_network_before_it_ran_joins_again(
    docker: Docker, image: str, name: str, net: str
) -> None:
    """docker-compose does so with every container that it makes."""
    docker.ok("create", "--network", net, "--name", name, image, "sleep", "60")
    docker.ok("network", "disconnect", net, name)
    assert (
        docker.ok("inspect", "-f", "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}}", name) == f"{net} 0"
    )
    docker.ok("network", "connect", "--alias", "again", net, name)
    docker.ok("start", name)
    docker.ok("run", "--rm", "--network", net, image, "ping", "-c", "1", "-W", "2", "again")


def test_one_that_has_left_all_networks_runs_alone_and_may_join_one(
    docker: Docker, image: str, name: str, net: str
) -> None:
    docker.ok("create", "--network", net, "--name", name, image, "sleep", "60")
    docker.ok("network", "disconnect", net, name)
    docker.ok("start", name)
    assert docker.ok("exec", name, "ls", "/sys/class/net").split() == ["lo"]
    docker.ok("network", "connect", net, name)
    assert "eth0" in docker.ok("exec", name, "ls", "/sys/class/net").split()


def test_one_without_a_network_joins_one_after_it_has_left_none(
    docker: Docker, image: str, name: str, net: str
) -> None:
    docker.ok("create", "--network", "none", "--name", name, image, "sleep", "60")
    assert docker("network", "connect", net, name).code == 1
    docker.ok("network", "disconnect", "none", name)
    docker.ok("network", "connect", net, name)
    docker.ok("start", name)
    assert "eth0" in docker.ok("exec", name, "ls", "/sys/class/net").split()


def test_a_network_in_use_is_not_removed(docker: Docker, image: str, name: str, net: str) -> None:
    docker.ok("run", "-d", "--network", net, "--name", name, image, "sleep", "60")
    refused = docker("network", "rm", net)
    assert refused.code == 1 and "has active endpoints" in refused.err


def test_a_name_that_is_taken_is_refused(docker: Docker, net: str) -> None:
    refused = docker("network", "create", net)
    assert refused.code == 1 and "already exists" in refused.err


def test_an_unknown_network_is_refused(docker: Docker, image: str, name: str) -> None:
    refused = docker("run", "--rm", "--name", name, "--network", f"{name}-away", image, "true")
    assert refused.code == 125 and "not found" in refused.err
    assert docker("rm", "-f", name).code == 0
