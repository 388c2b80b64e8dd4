"""How a process uses the bus, counted: what it asks, what it answers, what it tells, and how its connection is.

Labels are names of calls and events, which the protocol bounds; nothing here is counted by container or by subject.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

from seaway_protocol.errors import Error
from seaway_protocol.kinds import Call
from seaway_service.metrics import Counts, Family, Histogram, Sample, counter, gauge

from seaway_bus.connection import Connection
from seaway_bus.serving import Served, protocol_digest


class Figures:
    """What is counted of one bus' use, beside what connection and served interfaces count themselves."""

    def __init__(self) -> None:
        self.asked = Histogram("call")
        self.refused = Counts("call", "kind")
        self.events = Counts("event")

    @contextlib.contextmanager
    def asking(self, call: Call[Any, Any]) -> Iterator[None]:
        """Count one call, from question to answer, and as what it failed."""
        name, began = f"{call.interface.name}.{call.name}", time.monotonic()
        try:
            yield
        except Error as error:
            self.refused.add(name, error.code)
            raise
        except asyncio.CancelledError:
            self.refused.add(name, "cancelled")
            raise
        finally:
            self.asked.observe(time.monotonic() - began, name)


def families(figures: Figures, connection: Connection, served: Iterable[Served], flows: int) -> Iterator[Family]:
    """All of it."""
    traffic = connection.traffic
    yield gauge("seaway_protocol_info", "The protocol it was built with", 1, digest=protocol_digest())
    yield gauge("seaway_bus_connected", "Whether the bus is there", connection.connected)
    doc = "How often the connection to the bus came back"
    yield counter("seaway_bus_reconnects_total", doc, connection.reconnects)
    yield gauge("seaway_bus_flows_open", "Ends of flows in this process", flows)
    for what, sent, received in (
        ("messages", traffic.messages_out, traffic.messages_in),
        ("bytes", traffic.bytes_out, traffic.bytes_in),
    ):
        ways = {"sent": sent, "received": received}
        samples = [Sample({"direction": way}, value) for way, value in ways.items()]
        yield Family(f"seaway_bus_{what}_total", "counter", f"The {what} that went over the connection", samples)
    doc = "Events told"
    yield Family("seaway_bus_events_total", "counter", doc, figures.events.samples())
    doc = "From asking a call to its answer"
    yield Family("seaway_bus_call_seconds", "histogram", doc, figures.asked.samples())
    doc = "Calls whose answer was an error, or didn't come, by the kind of error"
    yield Family("seaway_bus_call_failures_total", "counter", doc, figures.refused.samples())
    doc = "From the arrival of a call to the answer given here"
    for each in served:
        yield Family("seaway_bus_answer_seconds", "histogram", doc, each.took.samples())
        yield from _tallies(each)


def _tallies(served: Served) -> Iterator[Family]:
    found = {f"{served.interface.name}.{name}": tally for name, tally in served.tallies.items() if tally.asked}
    labels = {name: {"call": name} for name in found}
    doc = "Calls answered here with an error"
    failed = [Sample(labels[name], tally.failed) for name, tally in found.items()]
    yield Family("seaway_bus_answer_failures_total", "counter", doc, failed)
    doc = "Calls that are being handled here"
    running = [Sample(labels[name], tally.running) for name, tally in found.items()]
    yield Family("seaway_bus_answers_running", "gauge", doc, running)
