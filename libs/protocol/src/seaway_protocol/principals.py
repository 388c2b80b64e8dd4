"""Who is on a host's bus, and what each may say: one table, from which the bus's permissions are derived.

A principal may answer its interfaces, ask the calls it names, announce the events of what it serves, and use the
flows of the interfaces it names. Whatever isn't said here is refused by the bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seaway_protocol import network, runtime, shim, supervisor
from seaway_protocol.audit import AUDIT
from seaway_protocol.enrolment import ENROLMENT
from seaway_protocol.fleet import EVERYONE, FLEET, LEADER
from seaway_protocol.kinds import Bucket, Call, Interface, Store
from seaway_protocol.memory import BUCKETS, HOSTS, LEASES, NODES, PACKAGES, PLANS, STORES
from seaway_protocol.network import NETWORK
from seaway_protocol.runtime import RUNTIME
from seaway_protocol.shim import NURSERY, SHIM
from seaway_protocol.supervisor import SUPERVISOR
from seaway_protocol.upgrades import HOST_UPGRADES, UPGRADES


@dataclass(frozen=True)
class Principal:
    """One credential's holder.

    `calls` are single calls or whole interfaces. `listens` are the interfaces whose events it hears, `tells` those
    whose events it announces without answering any call. `flows` are the interfaces whose flows it has an end of.
    `per_container` marks one principal per container, that is good for its own container's subjects alone.
    `keeps_events` may make the event stream, `hears_fleet` hears other hosts' events.
    `observes` may listen to calls and answers of all others: a person's credential, for looking, not for acting.
    `reads` and `keeps` are what it may read, and also write, of what the fleet remembers.
    """

    name: str
    serves: tuple[Interface, ...] = ()
    calls: tuple[Interface | Call, ...] = ()  # type: ignore[type-arg]
    listens: tuple[Interface, ...] = ()
    flows: tuple[Interface, ...] = ()
    tells: tuple[Interface, ...] = ()
    per_container: bool = False
    keeps_events: bool = False
    hears_fleet: bool = False
    observes: bool = False
    reads: tuple[Bucket[Any] | Store, ...] = ()
    keeps: tuple[Bucket[Any] | Store, ...] = ()
    doc: str = ""


PRINCIPALS: tuple[Principal, ...] = (
    Principal(
        "supervisor",
        serves=(SUPERVISOR,),
        calls=(NURSERY, SHIM, RUNTIME, NETWORK),
        listens=(SUPERVISOR, NETWORK),
        flows=(SUPERVISOR,),
        keeps_events=True,
        doc="the one source of truth on the host",
    ),
    Principal(
        "daemon",
        calls=(
            *(call for call in SUPERVISOR.calls if call is not supervisor.report),
            shim.upgrade_shims,
            *(shim.attach, shim.resize, shim.exec_start, shim.exec_inspect, shim.close_stdin),
            *(network.create, network.inspect, network.list_, network.remove),
            *(runtime.top, runtime.stats, runtime.features),
            *(FLEET, EVERYONE, LEADER, UPGRADES),
        ),
        listens=(SUPERVISOR, NETWORK, AUDIT),
        tells=(AUDIT,),
        hears_fleet=True,
        flows=(SUPERVISOR, SHIM, FLEET),
        reads=(NODES, HOSTS, LEASES, PLANS),
        keeps=(PACKAGES,),
        doc="the Docker Engine API",
    ),
    Principal(
        "runtime",
        serves=(RUNTIME,),
        doc="bundles become launch plans",
    ),
    Principal(
        "network",
        serves=(NETWORK,),
        doc="bridges, addresses, ports, names",
    ),
    Principal(
        "nursery",
        serves=(NURSERY,),
        calls=(shim.state, shim.upgrade),
        doc="forks shims, mints their credentials, upgrades them",
    ),
    Principal(
        "shim",
        serves=(SHIM,),
        calls=(supervisor.report,),
        flows=(SHIM,),
        per_container=True,
        doc="a container's parent",
    ),
    Principal(
        "fleet",
        serves=(FLEET, EVERYONE, LEADER, ENROLMENT, UPGRADES, HOST_UPGRADES),
        calls=(
            *(supervisor.list_, supervisor.image_list, supervisor.disk_usage, supervisor.info),
            *(FLEET, LEADER, ENROLMENT, HOST_UPGRADES),
        ),
        listens=(SUPERVISOR, NETWORK),
        flows=(FLEET,),
        keeps=(*BUCKETS, *STORES),
        doc="this host's presence in a fleet",
    ),
    Principal(
        "observer",
        listens=(SUPERVISOR, NETWORK),
        observes=True,
        doc="a person who looks at the bus",
    ),
)
"""Everyone on the bus of a host. A name is a subject token and the name of a credential file."""
