"""What a container asks of its networks, and the record that answers it. Pure, but for the addresses it takes."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec
from seaway_protocol.errors import InvalidArgument, NotFound, Unsupported
from seaway_protocol.network import SetUp
from seaway_protocol.types import Endpoint, EndpointSpec, NetworkSpec, PortBinding

from seaway_network.addresses import mac_of
from seaway_network.networks import DEFAULT, HOST, NONE, LiveNetwork
from seaway_network.ruleset import PortRule
from seaway_network.store import Attachment, Record

_ALIASES = {"": DEFAULT, "default": DEFAULT, "null": NONE}
_MAC_BYTES = 6


def wanted(spec: NetworkSpec) -> list[EndpointSpec]:
    """One wish per network: the mode's own, if it isn't among the endpoints, then these by descending priority."""
    mode = _ALIASES.get(spec.mode, spec.mode)
    if mode.startswith("container:"):
        raise InvalidArgument(f"cannot set up a network for mode {mode}: the container uses another's")
    endpoints = sorted(spec.endpoints, key=lambda each: -each.priority)
    if mode == "networks":
        return endpoints  # none, where it has left all that it was in: then it is alone until it joins one
    if mode in (HOST, NONE) and any(each.network != mode for each in endpoints):
        raise InvalidArgument(f"conflicting options: network mode {mode} goes with no other network")
    if all(each.network != mode for each in endpoints):
        return [EndpointSpec(network=mode), *endpoints]
    return endpoints


def check(network: LiveNetwork, spec: EndpointSpec) -> None:
    """Refuse a wish the network can't fulfil."""
    if (spec.ipv4 or spec.ipv6) and (network.name == DEFAULT or not network.bridged):
        raise InvalidArgument("user specified IP address is supported on user defined networks only")
    for version, text in ((4, spec.ipv4), (6, spec.ipv6)):
        if text and network.allotment(version) is None:
            raise InvalidArgument(f"invalid endpoint settings: network {network.name} has no IPv{version} subnet")
    if spec.mac and network.bridged:
        _check_mac(spec.mac)
    if unknown := [each for each in spec.options if each != INTERFACE_NAME]:
        raise Unsupported(f"endpoint option {unknown[0]} is not supported by Seaway yet")


INTERFACE_NAME = "com.docker.network.endpoint.ifname"


def attach(network: LiveNetwork, spec: EndpointSpec, request: SetUp, interface: str, prefix: str) -> Attachment:
    """Take addresses of the network for the container; the caller releases them if it comes to nothing."""
    endpoint = Endpoint(
        network=network.name,
        network_id=network.id,
        endpoint_id=secrets.token_hex(32),
        aliases=spec.aliases,
        links=spec.links,
        options=spec.options,
    )
    if not network.bridged:
        return Attachment(endpoint)
    internal = network.network.internal
    addresses: dict[str, str | int] = {}
    for allotment, suffix, asked in _allotments(network, spec):
        address = allotment.take(asked)
        addresses[f"ipv{4 if not suffix else 6}"] = str(address)
        addresses[f"ipv{4 if not suffix else 6}_prefix"] = allotment.subnet.prefixlen
        addresses[f"gateway{suffix}"] = "" if internal else str(allotment.gateway)
    first = ipaddress.ip_address(str(addresses.get("ipv4") or addresses["ipv6"]))
    endpoint = msgspec.structs.replace(
        endpoint,
        interface=interface,
        mac=spec.mac.lower().replace("-", ":") or mac_of(first),
        dns_names=dns_names(network, spec, request),
        **addresses,
    )
    return Attachment(endpoint, host_interface(prefix, endpoint.endpoint_id))


def choose_default(attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """The attachments, the first that has a gateway marked as the container's way out."""
    way_out = next((each for each in attachments if each.endpoint.gateway or each.endpoint.gateway6), None)
    return tuple(msgspec.structs.replace(each, default=each is way_out) for each in attachments)


def interface_names(networks: Iterable[LiveNetwork], specs: Iterable[EndpointSpec]) -> list[str]:
    """The interfaces' names in the container: what was asked for, else eth0, eth1, …"""
    names: list[str] = []
    for network, spec in zip(networks, specs, strict=True):
        names.append(next_interface(network, spec, names))
    return names


def next_interface(network: LiveNetwork, spec: EndpointSpec, used: Iterable[str]) -> str:
    """The name of one more interface."""
    taken = set(used)
    if not network.bridged:
        return ""
    if asked := spec.options.get(INTERFACE_NAME):
        if asked in taken or asked == "lo" or len(asked) > 15 or "/" in asked or any(each.isspace() for each in asked):
            raise InvalidArgument(f"invalid endpoint settings: {asked!r} can't be an interface's name here")
        return asked
    prefix = network.options.interface_prefix
    return next(name for number in range(len(taken) + 1) if (name := f"{prefix}{number}") not in taken)


def dns_names(network: LiveNetwork, spec: EndpointSpec, request: SetUp) -> tuple[str, ...]:
    """What the container is called by its peers; the default network has no names."""
    if network.name == DEFAULT:
        return ()
    names = (request.name, *spec.aliases, request.container[:12], request.hostname)
    return tuple(dict.fromkeys(each for each in names if each))


def renamed(record: Record, name: str) -> Record:
    """The record of a container that is called otherwise from now on."""
    old = record.request.name
    request = msgspec.structs.replace(record.request, name=name)

    def known(endpoint: Endpoint) -> Endpoint:
        names = (name if each == old else each for each in endpoint.dns_names)
        return msgspec.structs.replace(endpoint, dns_names=tuple(dict.fromkeys(names)))

    attachments = tuple(msgspec.structs.replace(each, endpoint=known(each.endpoint)) for each in record.attachments)
    sandbox = msgspec.structs.replace(record.sandbox, endpoints=tuple(each.endpoint for each in attachments))
    return msgspec.structs.replace(record, request=request, sandbox=sandbox, attachments=attachments)


def named(attachments: Iterable[Attachment]) -> bool:
    """Whether any of the networks has names: all bridge networks but the default one."""
    return any(each.host_interface and each.endpoint.network != DEFAULT for each in attachments)


def host_interface(prefix: str, endpoint: str) -> str:
    """The name of the cable's end on the host.

    It follows from the endpoint, not from the container, because a restarted container gets its new cable while the
    kernel is still removing the old one.
    """
    return f"{prefix}{endpoint[: 15 - len(prefix)]}"


def port_rules(ports: Iterable[PortBinding], attachments: Iterable[Attachment], label: str) -> list[PortRule]:
    """Published ports as rules towards the container's way out."""
    way_out = published_on(attachments)
    return [] if way_out is None else [_rule(each, way_out.endpoint, label) for each in ports]


def published_on(attachments: Iterable[Attachment]) -> Attachment | None:
    """The attachment that published ports lead to: the way out."""
    return next((each for each in attachments if each.default), None)


def linked_hosts(
    links: Iterable[str], address_of: Callable[[str], tuple[str, Sequence[str]] | None]
) -> list[tuple[str, str]]:
    """Links (`name` or `name:alias`) as (name, address) lines of a hosts file.

    `address_of` gives a container's address and its other names.
    """
    found: list[tuple[str, str]] = []
    for link in links:
        name, _, alias = link.partition(":")
        peer = address_of(name)
        if peer is None:
            raise NotFound(f"cannot link to a non running container: {name}")
        address, names = peer
        found += [(each, address) for each in dict.fromkeys((alias or name, *names))]
    return found


def _rule(port: PortBinding, endpoint: Endpoint, label: str) -> PortRule:
    host = ipaddress.ip_address(port.host_address)
    inside = endpoint.ipv4 if host.version == 4 else endpoint.ipv6
    return PortRule(
        protocol=port.protocol,
        host=None if host.is_unspecified else host,
        host_port=port.host_port,
        address=ipaddress.ip_address(inside),
        port=port.port,
        label=label,
    )


def _allotments(network: LiveNetwork, spec: EndpointSpec):  # type: ignore[no-untyped-def]
    for version, suffix, asked in ((4, "", spec.ipv4), (6, "6", spec.ipv6)):
        if allotment := network.allotment(version):
            yield allotment, suffix, asked


def _check_mac(text: str) -> None:
    parts = text.replace("-", ":").split(":")
    try:
        values = [int(each, 16) for each in parts if len(each) == 2]
    except ValueError:
        values = []
    if len(values) != _MAC_BYTES or len(parts) != _MAC_BYTES or values[0] & 1:
        raise InvalidArgument(f"invalid endpoint settings: {text!r} isn't a hardware address of one interface")
