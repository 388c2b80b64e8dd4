"""Seaway's wire, in one place: every subject, message, event and error.

A file per service reads: types, then calls and events, then one closing statement that lists them all.
`python -m seaway_protocol` prints the page; permissions and checks are derived from the same declarations.
"""

from __future__ import annotations

from seaway_protocol.audit import AUDIT
from seaway_protocol.enrolment import ENROLMENT
from seaway_protocol.fleet import EVERYONE, FLEET, LEADER
from seaway_protocol.kinds import Interface
from seaway_protocol.network import NETWORK
from seaway_protocol.runtime import RUNTIME
from seaway_protocol.shim import NURSERY, SHIM
from seaway_protocol.supervisor import SUPERVISOR
from seaway_protocol.upgrades import HOST_UPGRADES, UPGRADES

INTERFACES: tuple[Interface, ...] = (
    SUPERVISOR,
    NURSERY,
    SHIM,
    RUNTIME,
    NETWORK,
    FLEET,
    EVERYONE,
    LEADER,
    ENROLMENT,
    UPGRADES,
    HOST_UPGRADES,
    AUDIT,
)

__all__ = [
    "AUDIT",
    "ENROLMENT",
    "EVERYONE",
    "FLEET",
    "HOST_UPGRADES",
    "INTERFACES",
    "LEADER",
    "NETWORK",
    "NURSERY",
    "RUNTIME",
    "SHIM",
    "SUPERVISOR",
    "UPGRADES",
]
