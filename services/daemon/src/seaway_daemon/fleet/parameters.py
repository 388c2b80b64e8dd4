"""The parameters that operations of the fleet have in common: which hosts are asked, and how long they may take."""

from __future__ import annotations

from seaway_protocol.errors import InvalidArgument
from seaway_protocol.fleet import Selection

from seaway_daemon.api.operation import Parameter
from seaway_daemon.api.query import Query

NODE = Parameter("node", "a host by name; may be given several times", many=True)

ON = Parameter("on", "hosts with this label, `key` or `key=value`; where given several times, with all", many=True)

TIMEOUT = Parameter("timeout", "seconds the hosts may take to answer, 0.1 to 60", "number")

HOSTS = (NODE, ON, TIMEOUT)
"""Which hosts are asked, and how long they may take."""

REFUSALS = (403, 404, 409, 503)
"""A member that may not ask, hosts that nobody knows, a host in no fleet, one whose fleet service is away."""


def selection(query: Query) -> Selection:
    """The hosts that are asked."""
    return Selection(nodes=query.texts("node"), labels=tuple(each.removeprefix("label=") for each in query.texts("on")))


def seconds(query: Query, default: float) -> float:
    """How long the hosts may take to answer."""
    text = query.text("timeout")
    try:
        given = float(text) if text else default
    except ValueError:
        given = 0.0
    if not 0.1 <= given <= 60:
        raise InvalidArgument(f"invalid value for parameter timeout: {text!r} is not a number from 0.1 to 60")
    return given
