"""Who asks: a person or a program, as the daemon that let them in knows them."""

from __future__ import annotations

from seaway_protocol.kinds import Message

VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"

ROLES: tuple[str, ...] = (VIEWER, OPERATOR, ADMIN)
"""Each may do what the ones before may."""


class Actor(Message):
    """One asker. `role` is one of ROLES; "" may do nothing.

    With `labels` (`key` or `key=value`) only containers that carry all of them are theirs. `node` is the host whose
    daemon let them in, "" where it is this one; `address` is where they came from, `certificate` the SHA-256 of what
    they showed, in hexadecimal.
    """

    name: str
    role: str = ""
    labels: tuple[str, ...] = ()
    node: str = ""
    address: str = ""
    certificate: str = ""
