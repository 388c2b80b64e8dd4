"""What is noted of who asked a host's Engine API for what. A stream of its own keeps it, to which is only added."""

from __future__ import annotations

from seaway_protocol.actor import Actor
from seaway_protocol.kinds import Event, Interface, Message


class Request(Message):
    """One request. `at` is when it came, `took` how long it took, nanoseconds.

    `route` is the pattern of its path and `object` what stood in it, or what was made; `detail` is the image of a
    container, or the command of an exec. `to` is the host that it was forwarded to. A connection that was taken over
    is noted twice: `phase` is `begin`, and `end` with the bytes that the client has sent and was sent.
    """

    at: int
    actor: Actor
    method: str
    route: str
    object: str = ""
    detail: str = ""
    to: str = ""
    status: int = 0
    took: int = 0
    trace: str = ""
    phase: str = ""
    from_client: int = 0
    to_client: int = 0


class Noted(Message):
    """Requests in the order in which they ended. `lost` is how many more there were before them, which the bus was
    away for too long to take.
    """

    requests: tuple[Request, ...] = ()
    lost: int = 0


noted = Event("audit.noted", Noted, kept_in="audit", doc="requests were answered, or refused")

AUDIT = Interface(
    name="audit",
    version=1,
    subject="sw1.audit.{node}",
    events=(noted,),
    doc="who asked this host for what",
)
