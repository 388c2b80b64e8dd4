"""What the network service tells of itself, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from seaway_service.metrics import Family, gauge

from seaway_network.networks import Networks
from seaway_network.sandboxes import Sandboxes


def families(networks: Networks, sandboxes: Sandboxes) -> Iterator[Family]:
    """Networks, sandboxes, published ports, and questions to containers' name servers."""
    records = list(sandboxes)
    yield gauge("seaway_networks", "Networks", sum(1 for _ in networks))
    yield gauge("seaway_sandboxes", "Containers that have a place in a network", len(records))
    ports = sum(len(record.sandbox.ports) for record in records)
    yield gauge("seaway_published_ports", "Ports of containers that are published", ports)
    doc = "Questions to containers' name servers, by who had the answer; failed where nobody did"
    yield Family("seaway_dns_queries_total", "counter", doc, sandboxes.questions.samples())
