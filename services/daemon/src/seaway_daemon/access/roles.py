"""What each role may do. Pure: identities, the settings' table, and what a request is about go in.

    viewer     may look: lists, inspects, follows logs, events and statistics
    operator   may change what runs: create, start, attach, exec, stop, remove, pull; not what reaches the host itself
    admin      everything: privileged containers, the host's paths and namespaces, and the fleet

Who may open the unix socket is an admin. Who comes with a certificate has the role that `[roles.<name>]` gives, or
`[roles."*"]`; where the settings have no roles, every certificate of the authority makes an admin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from seaway_protocol.actor import ADMIN, OPERATOR, ROLES, VIEWER, Actor
from seaway_protocol.errors import PermissionDenied

from seaway_daemon.api.bodies import CreateContainer, CreateVolume, ExecConfig, HostConfig, UpdateContainer
from seaway_daemon.settings import Grant

NEEDED: Mapping[str, str] = {"read": VIEWER, "write": OPERATOR, "admin": ADMIN}
"""The role that each `access` of the route table needs."""

ANYBODY = "*"


def settled(actor: Actor, table: Mapping[str, Grant], node: str) -> Actor:
    """An actor with the role they have on host `node`; one of another host never more than its daemon gave them.

    Who came in through a unix socket, here or on another host of the fleet, isn't in the table.
    """
    if not actor.name:
        return msgspec.structs.replace(actor, role="")
    if not actor.certificate:
        return actor
    if not table:
        return actor if actor.node else msgspec.structs.replace(actor, role=ADMIN)
    grant = table.get(actor.name) or table.get(ANYBODY)
    if grant is None or (grant.hosts and node not in grant.hosts):
        return msgspec.structs.replace(actor, role="")
    role = lesser(actor.role, grant.role) if actor.node else grant.role
    return msgspec.structs.replace(actor, role=role, labels=tuple(sorted({*actor.labels, *grant.labels})))


def lesser(one: str, other: str) -> str:
    """The role that may less; "" where either is unknown."""
    return min(one, other, key=ROLES.index) if one in ROLES and other in ROLES else ""


def allows(actor: Actor, access: str) -> bool:
    """Whether an actor's role is enough for what needs `access`."""
    return actor.role in ROLES and ROLES.index(actor.role) >= ROLES.index(NEEDED.get(access, ADMIN))


def require(actor: Actor, access: str, doing: str) -> None:
    """Raise PermissionDenied where the actor's role isn't enough."""
    if not allows(actor, access):
        who, needed = actor.name or "nobody", NEEDED.get(access, ADMIN)
        role = f"{who} is {_a(actor.role)}" if actor.role else f"{who} has no role here"
        raise PermissionDenied(f"cannot {doing}: {role}, and this needs {_a(needed)}")


def carries(labels: Mapping[str, str], wanted: tuple[str, ...]) -> bool:
    """Whether all labels that are wanted, `key` or `key=value`, are there."""
    for each in wanted:
        key, given, value = each.partition("=")
        if key not in labels or (given and labels[key] != value):
            return False
    return True


def _a(role: str) -> str:
    return f"an {role}" if role[:1] in "ao" else f"a {role}"


# --- what reaches the host -------------------------------------------------------------------------------------------


def check_create(actor: Actor, body: CreateContainer) -> None:
    """Refuse a container that reaches the host for who isn't an admin, and one outside the actor's scope."""
    if actor.role == ADMIN and not actor.labels:
        return
    if missing := [label for label in actor.labels if not carries(body.labels, (label,))]:
        needed = ", ".join(missing)
        raise PermissionDenied(f"cannot create the container: {actor.name}'s containers carry the label {needed}")
    reasons = [*reaches_host(body.host_config), *(reaches_others(body.host_config) if actor.labels else ())]
    if reasons:
        raise PermissionDenied(f"cannot create the container: {reasons[0]} needs an admin without a scope of labels")


def check_exec(actor: Actor, body: ExecConfig) -> None:
    """Refuse a privileged exec for who isn't an admin."""
    if body.privileged and (actor.role != ADMIN or actor.labels):
        raise PermissionDenied("cannot make the exec: --privileged needs an admin without a scope of labels")


def check_volume(actor: Actor, body: CreateVolume) -> None:
    """Refuse a volume with options of its driver for who isn't an admin: they can name any path of the host."""
    if body.driver_opts and actor.role != ADMIN:
        raise PermissionDenied("cannot create the volume: options of its driver need an admin")


def check_update(actor: Actor, body: UpdateContainer) -> None:
    """Refuse to give a container devices of the host for who isn't an admin."""
    if actor.role != ADMIN and (body.devices or body.device_requests or body.device_cgroup_rules or body.cgroup_parent):
        raise PermissionDenied("cannot update the container: devices and its control group need an admin")


def reaches_host(host: HostConfig) -> Iterable[str]:
    """What of a container's wishes gives it the host."""
    if host.privileged:
        yield "--privileged"
    for name in ("network", "pid", "ipc", "uts", "userns", "cgroupns"):
        if getattr(host, f"{name}_mode") == "host":
            yield f"the host's {name} namespace"
    yield from (f"the host's path {each.partition(':')[0]}" for each in host.binds if each.startswith(("/", ".", "~")))
    for mount in host.mounts:
        if mount.type not in ("volume", "tmpfs", "image"):
            yield f"a mount of type {mount.type}"
        elif mount.volume_options is not None and mount.volume_options.driver_config:
            yield "a volume with a driver of its own"
    if host.cap_add:
        yield f"the capability {host.cap_add[0]}"
    if host.security_opt:
        yield f"the security option {host.security_opt[0]}"
    if host.masked_paths is not None or host.readonly_paths is not None:
        yield "changing what is masked"
    for name in ("devices", "device_requests", "device_cgroup_rules", "cgroup_parent"):
        if getattr(host, name, None):
            yield f"the option {name.replace('_', ' ')}"
    if host.runtime:
        yield f"the runtime {host.runtime}"


def reaches_others(host: HostConfig) -> Iterable[str]:
    """What of a container's wishes gives it other containers, or their files."""
    for name in ("network", "pid", "ipc"):
        if getattr(host, f"{name}_mode").startswith("container:"):
            yield f"another container's {name} namespace"
    if host.volumes_from:
        yield "another container's volumes"
    named = [each.partition(":")[0] for each in host.binds if ":" in each]
    named += [mount.source for mount in host.mounts if mount.type == "volume" and mount.source]
    if named:
        yield f"the volume {named[0]}"
