"""Carries the Seaway protocol over NATS: calls, events and flows, typed by the declarations in `seaway_protocol`.

It alone knows NATS and msgpack. Importing it starts no thread and makes no event loop, so that a process may
import it and fork. The server's side (`server`, `credentials`, `permissions`) is imported by its users alone.
"""

from __future__ import annotations

from seaway_bus.bus import Bus, connect
from seaway_bus.connection import Patience
from seaway_bus.context import (
    concern,
    current_deadline,
    current_trace,
    detach,
    done_since,
    first_asked,
    made_id,
    request_key,
    start_trace,
    trace_id,
)
from seaway_bus.endpoints import Endpoints
from seaway_bus.flow_end import Pace
from seaway_bus.gathering import Gathered
from seaway_bus.lease import Lease
from seaway_bus.occurrences import Occurrence, Occurrences
from seaway_bus.receiver import Receiver
from seaway_bus.records import Entry, Records
from seaway_bus.sender import Sender
from seaway_bus.serving import Served

__all__ = [
    "Bus",
    "Endpoints",
    "Entry",
    "Gathered",
    "Lease",
    "Occurrence",
    "Occurrences",
    "Pace",
    "Patience",
    "Receiver",
    "Records",
    "Sender",
    "Served",
    "concern",
    "connect",
    "current_deadline",
    "current_trace",
    "detach",
    "done_since",
    "first_asked",
    "made_id",
    "request_key",
    "start_trace",
    "trace_id",
]
