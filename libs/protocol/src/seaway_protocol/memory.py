"""What a fleet remembers: the buckets and stores that its hub keeps. Services reach them over their own host's bus."""

from __future__ import annotations

from seaway_protocol.enrolment import Hubs, IssuedToken, Member
from seaway_protocol.fleet import Host
from seaway_protocol.kinds import Bucket, Message, Store
from seaway_protocol.upgrades import Plan


class LeaseRecord(Message):
    """Who holds a lease, written again before `seconds` are over. `holder` is "" once it is given back.

    `process` tells processes of one holder apart. `term` is the revision with which it was taken, 0 in that revision.
    """

    holder: str = ""
    process: str = ""
    term: int = 0
    seconds: float = 15.0


NODES = Bucket("SW_NODE", Member, doc="the hosts that were let in, written by the leader")
HOSTS = Bucket(
    "SW_HOST", Host, read="member", write="own", doc="how each host was when it was last heard of, written by itself"
)
TOKENS = Bucket("SW_TOKEN", IssuedToken, read="hub", seconds=30 * 24 * 3600, doc="join tokens, by their digest")
HUBS = Bucket("SW_HUB", Hubs, doc="what all hubs agree on, and where they are")
LEASES = Bucket("SW_LEASE", LeaseRecord, doc="who leads")
PLANS = Bucket("SW_PLAN", Plan, history=64, max_bytes=256 * 1024 * 1024, doc="upgrades of the fleet")
PACKAGES = Store("SW_PACKAGE", doc="what upgrades bring")

BUCKETS: tuple[Bucket[Message], ...] = (NODES, HOSTS, TOKENS, HUBS, LEASES, PLANS)  # type: ignore[assignment]
STORES: tuple[Store, ...] = (PACKAGES,)
