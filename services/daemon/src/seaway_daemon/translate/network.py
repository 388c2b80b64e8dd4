"""NetworkMode, NetworkingConfig, ports and names as the protocol's network spec.

Source: docker run(1), `--network`, `--publish`, `--expose`, `--add-host`.
"""

from __future__ import annotations

import ipaddress
import re

from seaway_protocol.errors import InvalidArgument, Unsupported
from seaway_protocol.types import EndpointSpec, NetworkSpec, PortBinding

from seaway_daemon.api import bodies

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-z]+))?", re.IGNORECASE)
_HOST_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]{64}")
_PROTOCOLS = frozenset(("tcp", "udp"))


def network(body: bodies.CreateContainer) -> NetworkSpec:
    """How the container is connected."""
    host = body.host_config
    mode, endpoints = _mode(body)
    ports = tuple(each for port, bindings in host.port_bindings.items() for each in published(port, bindings))
    named = (*body.exposed_ports, *host.port_bindings)
    if host.links and mode in ("bridge", "host", "none"):
        raise Unsupported(f"links on the network {mode} are not supported by Seaway: --link; make a network for both")
    return NetworkSpec(
        mode=mode,
        endpoints=endpoints,
        ports=() if mode == "host" else ports,
        exposed=tuple(sorted({each for port in named for each in exposed_ports(port)})),
        publish_all=host.publish_all_ports,
        dns=tuple(map(_address, host.dns)),
        dns_search=tuple(host.dns_search),
        dns_options=tuple(host.dns_options),
        extra_hosts=tuple(map(_extra_host, host.extra_hosts)),
    )


def _mode(body: bodies.CreateContainer) -> tuple[str, tuple[EndpointSpec, ...]]:
    """The protocol's mode, and the endpoints where it has some."""
    asked = body.host_config.network_mode
    wishes = dict(body.networking_config.endpoints_config)
    if body.network_disabled:
        return "none", ()
    if asked in ("", "default"):
        asked = "bridge"
        if "default" in wishes:
            wishes["bridge"] = wishes.pop("default")
    if asked in ("host", "none"):
        _refuse_wishes(asked, wishes)
        return asked, ()
    if asked.startswith("container:"):
        return _of_container(asked, body)
    wishes.setdefault(asked, bodies.EndpointConfig())
    ordered = {asked: wishes.pop(asked), **wishes}
    endpoints = tuple(endpoint(name, wish, body.mac_address if name == asked else "") for name, wish in ordered.items())
    if asked == "bridge" and len(endpoints) == 1:
        plain = endpoints[0] == EndpointSpec(network="bridge")
        return "bridge", () if plain else endpoints
    return "networks", endpoints


def _of_container(mode: str, body: bodies.CreateContainer) -> tuple[str, tuple[EndpointSpec, ...]]:
    if not mode.removeprefix("container:"):
        raise InvalidArgument("invalid container format container:<name|id>")
    host = body.host_config
    conflicting = {
        "hostname": body.hostname,
        "publishing ports": host.port_bindings or host.publish_all_ports,
        "dns": host.dns,
        "custom host-to-IP mapping": host.extra_hosts,
        "mac-address": body.mac_address,
    }
    for what, given in conflicting.items():
        if given:
            raise InvalidArgument(f"conflicting options: {what} and the network mode {mode}")
    return mode, ()


def _refuse_wishes(mode: str, wishes: dict[str, bodies.EndpointConfig]) -> None:
    for name, wish in wishes.items():
        if name != mode:
            raise InvalidArgument(f"conflicting options: network {name} and the network mode {mode}")
        if wish.ipam_config or wish.aliases:
            raise InvalidArgument(f"addresses and aliases can't be given with the network mode {mode}")


def endpoint(network: str, wish: bodies.EndpointConfig, mac: str = "") -> EndpointSpec:
    """A container's wish for one network."""
    addresses = wish.ipam_config or bodies.AddressConfig()
    if addresses.link_local_ips:
        raise Unsupported("link-local addresses are not supported by Seaway yet: --link-local-ip")
    if wish.links and network == "bridge":
        raise Unsupported("links on the network bridge are not supported by Seaway: --link; make a network for both")
    mac = wish.mac_address or mac
    if mac and not _MAC.fullmatch(mac):
        raise InvalidArgument(f"invalid MAC address: {mac}")
    return EndpointSpec(
        network=network,
        ipv4=_address(addresses.ipv4_address) if addresses.ipv4_address else "",
        ipv6=_address(addresses.ipv6_address) if addresses.ipv6_address else "",
        mac=mac.lower(),
        aliases=tuple(wish.aliases),
        links=tuple(map(_link, wish.links)),
        options=wish.driver_opts,
        priority=wish.gw_priority,
    )


def _link(given: str) -> str:
    """`name` or `name:alias` with the alias; a whole id as the short one, which is a name in every network."""
    name, _, alias = given.partition(":")
    name = name.removeprefix("/")
    return f"{name[:12] if _ID.fullmatch(name) else name}:{alias or name}"


def exposed_ports(given: str) -> list[str]:
    """`80`, `80/udp` or `80-90/tcp` as single ports, `80/tcp`."""
    first, last, protocol = _port_range(given)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def published(given: str, bindings: list[bodies.PortBinding]) -> list[PortBinding]:
    """The bindings of one container port."""
    first, last, protocol = _port_range(given)
    if first != last:
        raise InvalidArgument(f'invalid port specification: "{given}"')
    return [_published(first, protocol, each) for each in bindings]


def _published(port: int, protocol: str, binding: bodies.PortBinding) -> PortBinding:
    first = last = 0
    if binding.host_port:
        match = _HOST_PORT.fullmatch(binding.host_port)
        if not match:
            raise InvalidArgument(f'invalid port specification: "{binding.host_port}"')
        first, last = int(match[1]), int(match[2] or match[1])
        if last > 65535 or last < first:
            raise InvalidArgument(f'invalid port specification: "{binding.host_port}"')
    return PortBinding(
        port=port,
        protocol=protocol,
        host_address=_address(binding.host_ip) if binding.host_ip else "",
        host_port=first,
        host_port_end=last if last != first else 0,
    )


def _port_range(given: str) -> tuple[int, int, str]:
    match = _PORT.fullmatch(given)
    wrong = f'invalid port specification: "{given}"'
    if not match:
        raise InvalidArgument(wrong)
    first, last, protocol = int(match[1]), int(match[2] or match[1]), (match[3] or "tcp").lower()
    if not 0 < first <= last <= 65535:
        raise InvalidArgument(wrong)
    if protocol == "sctp":
        raise Unsupported(f"publishing SCTP ports is not supported by Seaway yet: {given}")
    if protocol not in _PROTOCOLS:
        raise InvalidArgument(f'{wrong}: unknown protocol "{protocol}"')
    return first, last, protocol


def _address(given: str) -> str:
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {given}") from None


def _extra_host(given: str) -> str:
    name, separator, address = given.partition(":")
    if not separator or not name or not address:
        raise InvalidArgument(f'bad format for add-host: "{given}"')
    if address != "host-gateway":
        _address(address.strip("[]"))
    return given
