"""Ports and networks of a container, for inspect and ps."""

from __future__ import annotations

from typing import Any

from seaway_protocol.types import Container, Endpoint, EndpointSpec, PortBinding


def networks(container: Container) -> dict[str, dict[str, Any]]:
    """`NetworkSettings.Networks`: the endpoints there are, or, while it doesn't run, those wished for."""
    wished = {each.network: each for each in container.spec.network.endpoints}
    if container.sandbox and container.sandbox.endpoints:
        return {each.network: _endpoint(each, wished.get(each.network)) for each in container.sandbox.endpoints}
    mode = container.spec.network.mode
    names = list(wished) or ([] if mode.startswith("container:") or mode == "networks" else [mode])
    return {name: _endpoint(Endpoint(network=name, network_id=""), wished.get(name)) for name in names}


def _endpoint(given: Endpoint, wish: EndpointSpec | None) -> dict[str, Any]:
    names = list(given.aliases or (wish.aliases if wish else ()))
    return {
        "IPAMConfig": _addresses_wished(wish),
        "Links": list(given.links) or None,
        "Aliases": names or None,
        "MacAddress": given.mac,
        "DriverOpts": given.options or None,
        "GwPriority": wish.priority if wish else 0,
        "NetworkID": given.network_id,
        "EndpointID": given.endpoint_id,
        "Gateway": given.gateway,
        "IPAddress": given.ipv4,
        "IPPrefixLen": given.ipv4_prefix,
        "IPv6Gateway": given.gateway6,
        "GlobalIPv6Address": given.ipv6,
        "GlobalIPv6PrefixLen": given.ipv6_prefix,
        "DNSNames": list(given.dns_names) or None,
    }


def _addresses_wished(wish: EndpointSpec | None) -> dict[str, str] | None:
    if wish is None or not (wish.ipv4 or wish.ipv6):
        return None
    wished = {"IPv4Address": wish.ipv4, "IPv6Address": wish.ipv6}
    return {name: address for name, address in wished.items() if address}


def network_settings(container: Container) -> dict[str, Any]:
    """`NetworkSettings` of `docker inspect`; the address fields at its top are those of the default bridge."""
    sandbox, of_each = container.sandbox, networks(container)
    bridge = of_each.get("bridge", {})
    fields = ("EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress")
    lengths = ("GlobalIPv6PrefixLen", "IPPrefixLen")
    return {
        "Bridge": "",
        "SandboxID": container.id if sandbox else "",
        "SandboxKey": sandbox.path if sandbox else "",
        "Ports": ports_by_name(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: bridge.get(name, "") for name in fields},
        **{name: bridge.get(name, 0) for name in lengths},
        "Networks": of_each,
    }


def ports_by_name(container: Container) -> dict[str, list[dict[str, str]] | None]:
    """`NetworkSettings.Ports`: each exposed port with its bindings, null where it isn't published."""
    if not container.sandbox or container.state.status not in ("running", "paused"):
        return {}
    ports: dict[str, list[dict[str, str]] | None] = dict.fromkeys(_exposed(container))
    for binding in container.sandbox.ports:
        bound = ports.setdefault(f"{binding.port}/{binding.protocol}", None) or []
        ports[f"{binding.port}/{binding.protocol}"] = bound + [
            {"HostIp": address, "HostPort": str(binding.host_port)} for address in _addresses(binding)
        ]
    return ports


def ports(container: Container) -> list[dict[str, Any]]:
    """`Ports` of `docker ps`."""
    listed: list[dict[str, Any]] = []
    for name, bindings in ports_by_name(container).items():
        number, _, protocol = name.partition("/")
        shape = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        listed += (
            [{"IP": each["HostIp"], "PublicPort": int(each["HostPort"]), **shape} for each in bindings]
            if bindings
            else [shape]
        )
    return listed


def _exposed(container: Container) -> list[str]:
    return [each if "/" in each else f"{each}/tcp" for each in container.exposed or container.spec.network.exposed]


def _addresses(binding: PortBinding) -> tuple[str, ...]:
    return (binding.host_address or "0.0.0.0",)
