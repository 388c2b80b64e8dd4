from __future__ import annotations

import pytest
from seaway_bus.hub_address import PORT, host_of, join_url, leaf_url, split
from seaway_protocol.errors import InvalidArgument


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", PORT),
        ("10.0.0.1:7000", "10.0.0.1", 7000),
        ("hub.example.org", "hub.example.org", PORT),
        ("hub.example.org:7000", "hub.example.org", 7000),
        ("[fd00::1]:7000", "fd00::1", 7000),
        ("[fd00::1]", "fd00::1", PORT),
        ("fd00::1", "fd00::1", PORT),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(address: str, host: str, port: int) -> None:
    assert split(address) == (host, port)
    assert host_of(address) == host


@pytest.mark.parametrize("address", ["", ":7000", "a:b", "a:0", "a:65535", "a b:7000", "nats://a:7000", "u@a:7000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument, match="as a hub's address"):
        split(address)


def test_leaves_and_joiners_come_to_ports_in_a_row() -> None:
    assert leaf_url("[fd00::1]:7000") == "tls://[fd00::1]:7000"
    assert join_url("10.0.0.1:7000") == "nats://10.0.0.1:7001"
