"""What a container asks for: networks, interfaces, ports."""

from __future__ import annotations

import pytest
from seaway_network import bridge_options, requests
from seaway_network.networks import LiveNetwork
from seaway_network.ports import host_addresses, wishes
from seaway_protocol.errors import Error, InvalidArgument, NotFound
from seaway_protocol.network import Network
from seaway_protocol.types import EndpointSpec, NetworkSpec, PortBinding


def names(spec: NetworkSpec) -> list[str]:
    return [each.network for each in requests.wanted(spec)]


@pytest.mark.parametrize("mode", ["bridge", "default", ""])
def test_the_default_network(mode: str) -> None:
    assert names(NetworkSpec(mode=mode)) == ["bridge"]
    asked = EndpointSpec(network="bridge", mac="02:00:00:00:00:01")
    assert requests.wanted(NetworkSpec(mode=mode, endpoints=(asked,))) == [asked]


def test_networks_by_priority() -> None:
    endpoints = (EndpointSpec(network="a"), EndpointSpec(network="b", priority=9))
    assert names(NetworkSpec(mode="networks", endpoints=endpoints)) == ["b", "a"]
    assert names(NetworkSpec(mode="bridge", endpoints=endpoints)) == ["bridge", "b", "a"]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (NetworkSpec(mode="container:abc"), "uses another's"),
        (NetworkSpec(mode="host", endpoints=(EndpointSpec(network="a"),)), "conflicting options"),
        (NetworkSpec(mode="none", endpoints=(EndpointSpec(network="a"),)), "conflicting options"),
    ],
)
def test_modes_that_make_no_sense(spec: NetworkSpec, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        requests.wanted(spec)


def bridge(name: str, prefix: str = "eth") -> LiveNetwork:
    live = LiveNetwork(Network(id=name * 8, name=name, driver="bridge"), bridge=f"br-{name}")
    live.options = bridge_options.parse({bridge_options.INTERFACE_PREFIX: prefix})
    return live


def test_interfaces_are_numbered_and_may_be_named() -> None:
    networks = [bridge("a"), bridge("b"), bridge("c", "net")]
    specs = [EndpointSpec(network="a"), EndpointSpec(network="b", options={requests.INTERFACE_NAME: "front"})]
    assert requests.interface_names(networks, [*specs, EndpointSpec(network="c")]) == ["eth0", "front", "net0"]
    with pytest.raises(InvalidArgument, match="'lo'"):
        requests.next_interface(networks[0], EndpointSpec(network="a", options={requests.INTERFACE_NAME: "lo"}), [])


def test_cables_have_names_that_fit() -> None:
    assert requests.host_interface("sw", "0123456789abcdef" * 4) == "sw0123456789abc"


def test_links_become_lines_of_hosts() -> None:
    peers = {"db": ("172.30.0.9", ["db", "0123456789ab"])}
    assert requests.linked_hosts(("db:store",), peers.get) == [
        ("store", "172.30.0.9"),
        ("db", "172.30.0.9"),
        ("0123456789ab", "172.30.0.9"),
    ]
    with pytest.raises(NotFound, match="non running container: away"):
        requests.linked_hosts(("away",), peers.get)


def test_ports_wished_for() -> None:
    spec = NetworkSpec(ports=(PortBinding(port=80),), publish_all=True, exposed=("80/tcp", "53/udp", "1-2"))
    assert [(each.port, each.protocol) for each in wishes(spec)] == [(80, "tcp"), (53, "udp"), (1, "tcp"), (2, "tcp")]
    assert wishes(NetworkSpec(exposed=("80/tcp",))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        PortBinding(port=0),
        PortBinding(port=80, host_port=70000),
        PortBinding(port=80, protocol="icmp"),
        PortBinding(port=80, host_address="here"),
        PortBinding(port=80, host_port=9, host_port_end=8),
    ],
)
def test_ports_that_cannot_be(wrong: PortBinding) -> None:
    with pytest.raises(InvalidArgument, match="cannot publish"):
        wishes(NetworkSpec(ports=(wrong,)))


def test_addresses_a_port_is_published_on() -> None:
    anywhere, one = PortBinding(port=80), PortBinding(port=80, host_address="192.0.2.1")
    assert host_addresses(anywhere, "0.0.0.0", ipv4=True, ipv6=False) == ["0.0.0.0"]
    assert host_addresses(anywhere, "0.0.0.0", ipv4=True, ipv6=True) == ["0.0.0.0", "::"]
    assert host_addresses(anywhere, "127.0.0.1", ipv4=True, ipv6=True) == ["127.0.0.1"]
    assert host_addresses(one, "0.0.0.0", ipv4=True, ipv6=True) == ["192.0.2.1"]
    with pytest.raises(InvalidArgument, match="no IPv4 address"):
        host_addresses(one, "0.0.0.0", ipv4=False, ipv6=True)


@pytest.mark.parametrize(
    "options",
    [
        {bridge_options.MTU: "12"},
        {bridge_options.ENABLE_ICC: "maybe"},
        {bridge_options.BRIDGE_NAME: "much-too-long-a-name"},
        {bridge_options.HOST_BINDING: "here"},
        {"com.docker.network.bridge.nonsense": "1"},
    ],
)
def test_options_that_are_refused_by_name(options: dict[str, str]) -> None:
    with pytest.raises(Error, match=next(iter(options))):
        bridge_options.parse(options)


def test_options_understood() -> None:
    parsed = bridge_options.parse({bridge_options.ENABLE_ICC: "false", bridge_options.MTU: "9000", "mine": "x"})
    assert (parsed.containers_connect, parsed.mtu, parsed.masquerade) == (False, 9000, True)
