"""How hosts get into a fleet, stay in it and go: what a joining host asks of the fleet's leader, and what it remembers.

A host is known by a key whose secret half never leaves it: it asks for a credential for the public half, and signs with
the key that the fleet knows when it wants another credential, or to leave.
"""

from __future__ import annotations

from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.kinds import Call, Empty, Interface, Message

HOST_UNIT = "Seaway host"
"""The organizational unit in a host's certificate: it proves a host to other hosts, and nobody to an Engine API."""

# --- what the fleet remembers ----------------------------------------------------------------------------------------


class Member(Message):
    """A host that was let in, by its name. `key` is the public half of its leaf's user key (an nkey).

    `former` are keys that it had before, whose credentials may still hold. `issued` and `expires` are its
    credential's times, `joined` when it came, `asked` its own time when it last asked for a credential, `address`
    where it is reached; `fence` is the revision of the leader's lease that wrote this. An `evicted` one isn't let in
    again under the same key.
    """

    node: str
    role: str
    key: str
    hub: bool = False
    address: str = ""
    former: tuple[str, ...] = ()
    issued: int = 0
    expires: int = 0
    joined: int = 0
    asked: int = 0
    evicted: bool = False
    fence: int = 0


class IssuedToken(Message):
    """A join token, by the digest of its secret: what it lets in, until when, and which hosts' keys it has let in."""

    role: str
    hub: bool = False
    once: bool = True
    expires: int = 0
    used_by: dict[str, str] = {}


class Hubs(Message):
    """What all hubs agree on: where each takes hosts (`host:port`, by node), and which keys are revoked.

    A revoked key has the Unix time before which its credentials were issued. `fence` is as a member's.
    """

    hubs: dict[str, str] = {}
    revoked: dict[str, int] = {}
    fence: int = 0


def _message(*parts: str) -> bytes:
    """What a host signs to show that it is the one that the fleet knows."""
    return "\0".join(("seaway fleet", *parts)).encode()


# --- calls -----------------------------------------------------------------------------------------------------------


class Admission(Message):
    """A host wants in. `key` is its leaf's public user key, `request` a PEM certificate request for its TLS key.

    `box` is its public X25519 key, to which a hub's keys are sealed.
    """

    secret: str
    node: str
    key: str
    request: str
    address: str = ""
    box: bytes = b""


class Renewal(Message):
    """A host wants a new credential, for a new `key`. `proof` is signed with the key that the fleet knows of it."""

    node: str
    key: str
    request: str
    at: int
    proof: bytes = b""

    def message(self) -> bytes:
        """What is signed."""
        return _message("renew", self.node, str(self.at), self.key, self.request)


class Departure(Message):
    """A host goes. `proof` is signed with the key that the fleet knows of it."""

    node: str
    at: int
    proof: bytes = b""

    def message(self) -> bytes:
        """What is signed."""
        return _message("depart", self.node, str(self.at))


class Admitted(Message):
    """What a host gets: its leaf's token (a NATS user JWT), its certificate and the fleet's CA (PEM).

    `addresses` are where hubs take hosts, `host:port`; `release` is the public key (an nkey) that signs the fleet's
    releases; `sealed` are the hub's keys, for a host that is to be a hub.
    """

    fleet: str
    role: str
    token: str
    certificate: str
    authority: str
    expires: int
    hub: bool = False
    addresses: tuple[str, ...] = ()
    release: str = ""
    sealed: bytes = b""


_REFUSED = (PermissionDenied, InvalidArgument, Unavailable)

admit = Call(
    "admit",
    Admission,
    Admitted,
    raises=(Conflict, *_REFUSED),
    changes=True,
    seconds=20,
    doc="let a host into the fleet",
)
renew = Call(
    "renew",
    Renewal,
    Admitted,
    raises=(NotFound, Conflict, *_REFUSED),
    changes=True,
    seconds=20,
    doc="renew a host's credential",
)
depart = Call(
    "depart",
    Departure,
    Empty,
    raises=(NotFound, *_REFUSED),
    changes=True,
    seconds=20,
    doc="let a host leave the fleet",
)

ENROLMENT = Interface(
    name="enrolment",
    version=1,
    subject="sw1.ctl.enrolment",
    calls=(admit, renew, depart),
    doc="answered by the fleet's leader, to hosts that come, stay and go",
    reach="leader",
    asked_by="member",
)
