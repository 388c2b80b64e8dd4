"""What this host's engine is told before the first request of another host: one line that says who asks. Pure.

The engine takes it from root alone, as the very first bytes of a connection (`seaway_daemon.identity`).
"""

from __future__ import annotations

import msgspec
from seaway_protocol.fleet import Dial

BEGINNING = b"SEAWAY-ACTOR "
"""No HTTP request begins like this."""


def preamble(request: Dial) -> bytes:
    """The line, with its end. The asking host is the one whose flows carry the bytes, whatever the actor says."""
    actor = msgspec.structs.replace(request.actor, node=request.node)
    return BEGINNING + msgspec.json.encode(actor) + b"\r\n"
