"""Where a fleet's hub is reached: one address, and three ports in a row from it. Pure."""

from __future__ import annotations

import ipaddress

from seaway_protocol.errors import InvalidArgument

PORT = 4523
"""Where leaves come, unless an address says otherwise."""

JOIN, CLUSTER = 1, 2
"""After a hub's port: where who wants to join comes, and other hubs."""


def join_url(address: str) -> str:
    """Where, over TLS, who wants to join the hub at an address comes."""
    host, port = split(address)
    return f"nats://{bracketed(host)}:{port + JOIN}"


def leaf_url(address: str) -> str:
    """Where leaves of the hub at an address come."""
    host, port = split(address)
    return f"tls://{bracketed(host)}:{port}"


def split(address: str) -> tuple[str, int]:
    """The host and port of `host[:port]`. Raises InvalidArgument."""
    host = host_of(address)
    rest = address.removeprefix(f"[{host}]").removeprefix(host)
    port = rest.removeprefix(":") or str(PORT)
    named = bool(host) and not any(c in host for c in " /@") and (":" not in host or is_ipv6(host))
    if not named or not port.isdigit() or not 0 < int(port) <= 65533:
        raise InvalidArgument(f"cannot use {address!r} as a hub's address: it has no form like 10.0.0.1:{PORT}")
    return host, int(port)


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this machine itself reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_ipv6(host: str) -> bool:
    """Whether it is such an address; no other host has a colon in it."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def host_of(address: str) -> str:
    """The host in `host`, `host:port`, `[v6]:port` or a bare v6 address."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, port = address.rpartition(":")
    return host if host and ":" not in host and port.isdigit() else address
