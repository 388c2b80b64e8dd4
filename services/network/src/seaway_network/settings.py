"""The network service's settings."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from seaway_service import Settings
from seaway_service.values import AbsolutePath, CountFromZero, Port, PrefixLength

InterfaceName = Annotated[
    str, Meta(pattern=r"^[^/\s]{1,15}\Z", description="an interface's name, at most 15 characters")
]
Letters = Annotated[str, Meta(pattern=r"^[a-z]{1,4}\Z", description="one to four small letters")]
TableName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]*\Z", description="letters, digits and _")]
Mtu = Annotated[int, Meta(ge=68, le=65535, extra={"unit": "bytes"})]

Parsed = TypeVar("Parsed")


def _read(reader: Callable[[str], Parsed], key: str, value: str) -> Parsed:
    """An address or a network. Raises ValueError with the key."""
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A range that networks without a subnet of their own are cut from, each of prefix length `size`."""

    base: str
    size: PrefixLength

    def __post_init__(self) -> None:
        base = _read(ip_network, "base", self.base)
        if not base.prefixlen <= self.size <= base.max_prefixlen:
            raise ValueError(f"size: expected {base.prefixlen} to {base.max_prefixlen} for {base}, got {self.size}")


class NetworkSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this host lets the network service use."""

    table: TableName = "seaway"
    """The nftables table, of family inet. It is Seaway's alone; no other is touched."""

    bridge: InterfaceName = "seaway0"
    """The default network's bridge."""

    prefix: Letters = "sw"
    """The beginning of the names of other interfaces. Each engine of a host needs its own."""

    subnet: str = ""
    """The default network's subnet; empty picks the first of `default_pools` that no route of the host overlaps."""

    default_pools: tuple[Pool, ...] = (
        Pool("172.30.0.0/15", 16),
        Pool("172.28.0.0/15", 16),
        Pool("10.213.0.0/16", 16),
        Pool("10.212.0.0/16", 20),
    )
    """Where the default network's subnet comes from: five large ones, then sixteen small, for hosts of many engines."""

    pools: tuple[Pool, ...] = (
        Pool("172.26.0.0/15", 24),
        Pool("10.214.0.0/15", 24),
        Pool("192.168.128.0/17", 24),
    )
    """Where other networks' subnets come from: 1,152 networks."""

    pools6: tuple[Pool, ...] = ()
    """The same for IPv6; empty makes a random unique local /48 (RFC 4193), keeps it, and cuts /64 from it."""

    mtu: Mtu = 1500
    """The default network's MTU."""

    publish_address: str = "0.0.0.0"
    """The address ports are published on where none is asked for; 127.0.0.1 keeps them on this host."""

    ephemeral: tuple[Port, Port] = (32768, 60999)
    """The first and last port given to those published without a port."""

    resolv_conf: AbsolutePath = "/etc/resolv.conf"
    """The host's resolver configuration, from which containers' is made."""

    resolved_conf: AbsolutePath = "/run/systemd/resolve/resolv.conf"
    """Read instead where the host's own names only systemd-resolved's stub at 127.0.0.53."""

    hosts: AbsolutePath = "/etc/hosts"
    """Given to containers on the host's network."""

    dns_fallback: tuple[str, ...] = ("8.8.8.8", "8.8.4.4")
    """Name servers for containers where the host names none that a container can reach."""

    host_gateway: str = ""
    """What `host-gateway` in extra hosts stands for; empty means the gateway of the container's own network, or, where
    it has none, of the default network."""

    spares: CountFromZero = 4
    """Network namespaces kept ready, so that a container needn't wait for its own. 0 keeps none."""

    def __post_init__(self) -> None:
        if self.subnet:
            _read(ip_network, "subnet", self.subnet)
        for key, value in (("publish_address", self.publish_address), ("host_gateway", self.host_gateway)):
            if value:
                _read(ip_address, key, value)
        for each in self.dns_fallback:
            _read(ip_address, "dns_fallback", each)
        if self.ephemeral[0] > self.ephemeral[1]:
            raise ValueError(f"ephemeral: expected the lower port first, got {list(self.ephemeral)}")
