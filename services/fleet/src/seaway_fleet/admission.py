"""Whether a host may come in, stay or go, decided from what the fleet remembers. Pure. Times are nanoseconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from seaway_bus.signatures import verify
from seaway_protocol.enrolment import Admission, Departure, IssuedToken, Member, Renewal
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied
from seaway_protocol.fleet import NewToken
from seaway_service.node import is_node_name

ROLES = ("controller", "member")
LONGEST = 30 * 24 * 3600
"""Seconds that a join token may be good for."""

_UNSEEN = 60 * 1_000_000_000
"""For so long a name is kept for a host that was let in and isn't heard of; it may have failed on its way."""


def check_token(request: NewToken) -> None:
    """Raises InvalidArgument where no such token can be made."""
    if request.role not in ROLES:
        raise InvalidArgument(f"cannot make a token: the role is {request.role!r}, not {' or '.join(ROLES)}")
    if request.hub and request.role != "controller":
        raise InvalidArgument("cannot make a token: a hub is a controller, never a mere member")
    if not 1 <= request.seconds <= LONGEST:
        raise InvalidArgument(f"cannot make a token for {request.seconds} s: it may be good for 1 to {LONGEST} s")


def check_admission(
    asked: Admission, token: IssuedToken | None, member: Member | None, *, seen: bool, now: int
) -> IssuedToken:
    """The token, where the host can come in; else raises.

    `member` is whom the fleet knows by this name, `seen` whether it has ever told of itself.
    Who asks again, with the same key, is let in again: the answer may have been lost.
    """
    if not is_node_name(asked.node):
        raise InvalidArgument(f"cannot let {asked.node!r} in: a host's name has letters, digits, - and _ alone")
    if token is None:
        raise PermissionDenied("cannot join: this fleet knows no such token; make one with: seaway fleet token")
    if token.expires <= now:
        raise PermissionDenied("cannot join: the token has expired; make one with: seaway fleet token")
    if token.hub and not (asked.address and asked.box):
        raise InvalidArgument("cannot join as a hub: say where other hosts reach this one with --address")
    if token.once and (others := [node for node, key in token.used_by.items() if key != asked.key]):
        raise PermissionDenied(f"cannot join: {others[0]} has used the token up; make one with: seaway fleet token")
    again = member is not None and member.key == asked.key and not member.evicted
    if member is not None and not (again or member.evicted or (not seen and now - member.joined > _UNSEEN)):
        raise Conflict(
            f"cannot join as {asked.node}: the fleet has a host of that name; "
            f"choose another with --node, or shut that one out with: seaway fleet evict {asked.node}"
        )
    return token


def check_renewal(asked: Renewal, member: Member | None) -> Member:
    """The host that asks. Raises NotFound, or PermissionDenied where it isn't the one.

    Who asks for the same key again hasn't heard the answer, and has signed with a key that it had before.
    """
    known = _known(asked.node, member)
    again = asked.key == known.key
    if not again and asked.at <= known.asked:
        raise PermissionDenied(f"cannot renew the credential of {asked.node}: it was asked for again later")
    _prove(known, known.former if again else (known.key,), asked.proof, asked.message())
    return known


def check_departure(asked: Departure, member: Member | None) -> Member:
    """The host that goes. Raises as for a renewal."""
    known = _known(asked.node, member)
    _prove(known, (known.key,), asked.proof, asked.message())
    return known


def _known(node: str, member: Member | None) -> Member:
    if member is None:
        raise NotFound(f"cannot find {node}: the fleet has no host of that name")
    if member.evicted:
        raise PermissionDenied(f"cannot do that for {node}: it was shut out of the fleet")
    return member


def _prove(member: Member, keys: Iterable[str], proof: bytes, message: bytes) -> None:
    """Raises PermissionDenied where none of the keys has signed the message."""
    for key in keys:
        with contextlib.suppress(PermissionDenied, InvalidArgument):
            verify(key, message, proof)
            return
    raise PermissionDenied(f"cannot do that for {member.node}: who asks isn't the host that was let in")
