"""What the supervisor tells of containers and images, as metrics.

What the groups of containers use is asked of the runtime once for all of them, however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from seaway_protocol import runtime
from seaway_protocol.errors import Error
from seaway_protocol.runtime import Usage
from seaway_service.metrics import Family, Sample, gauge

from seaway_supervisor.host import Host
from seaway_supervisor.records import Record

_STATES = ("created", "running", "paused", "restarting", "exited", "removing", "dead")
_AT_ONCE = 256
"""Groups in one call: about 400 bytes each."""

_PATIENCE = 3.0
"""Seconds that the runtime may take; a page without its part is better than none."""

_NANO = 1e-9

_USED: tuple[tuple[str, str, str, Callable[[Usage], float | None]], ...] = (
    ("cpu_seconds_total", "counter", "Processor time", lambda u: _seconds(u.cpu_ns)),
    ("cpu_user_seconds_total", "counter", "Processor time in user mode", lambda u: _seconds(u.cpu_user_ns)),
    ("cpu_system_seconds_total", "counter", "Processor time in the kernel", lambda u: _seconds(u.cpu_system_ns)),
    ("cpu_throttled_seconds_total", "counter", "Time held up by its limit", lambda u: _seconds(u.cpu_throttled_ns)),
    ("memory_bytes", "gauge", "Memory, cached files included", lambda u: u.memory),
    ("memory_working_set_bytes", "gauge", "Memory without files that aren't in use", lambda u: u.working_set),
    (
        "memory_limit_bytes",
        "gauge",
        "The most memory it may have; left out where that is all",
        lambda u: u.memory_limit,
    ),
    ("oom_kills_total", "counter", "Processes killed because memory ran out", lambda u: u.oom_kills),
    ("processes", "gauge", "Processes and threads", lambda u: u.processes),
    ("processes_limit", "gauge", "The most it may have; left out where there is no limit", lambda u: u.processes_limit),
    ("io_read_bytes_total", "counter", "Bytes read from block devices", lambda u: u.read_bytes),
    ("io_written_bytes_total", "counter", "Bytes written to block devices", lambda u: u.written_bytes),
    ("io_reads_total", "counter", "Reads from block devices", lambda u: u.reads),
    ("io_writes_total", "counter", "Writes to block devices", lambda u: u.writes),
    ("network_received_bytes_total", "counter", "Bytes received on its interfaces", lambda u: u.received_bytes),
    ("network_sent_bytes_total", "counter", "Bytes sent", lambda u: u.sent_bytes),
    ("network_received_packets_total", "counter", "Packets received", lambda u: u.received_packets),
    ("network_sent_packets_total", "counter", "Packets sent", lambda u: u.sent_packets),
    ("network_received_dropped_total", "counter", "Arriving packets dropped", lambda u: u.received_dropped),
    ("network_sent_dropped_total", "counter", "Departing packets dropped", lambda u: u.sent_dropped),
)
"""Behind `seaway_container_`: name, kind, what it says, and where it comes from."""


async def collect(host: Host) -> list[Family]:
    """Everything; what can't be had at the moment is left out."""
    records = list(host.records)
    used = await _usages(host, [record.container.cgroup for record in records if record.alive])
    return [*of_host(host), *of_containers(records), *of_groups(records, used), *_losses(host, records)]


def of_host(host: Host) -> Iterator[Family]:
    """Containers by state, images, and what waits to be told."""
    states = Counter(record.state.status for record in host.records)
    samples = [Sample({"state": state}, states[state]) for state in _STATES]
    yield Family("seaway_containers", "gauge", "Containers by state", samples)
    yield gauge("seaway_images", "Images", host.images.count())
    layers, size = host.images.layers_held()
    yield gauge("seaway_image_layers", "Layers that are unpacked", layers)
    yield gauge("seaway_image_layers_bytes", "Bytes of those layers", size)
    yield gauge("seaway_outbox_events", "Events that aren't told yet", host.outbox.waiting)


def of_containers(records: Iterable[Record]) -> Iterator[Family]:
    """What is recorded of each."""
    known = [(_labels(record), record) for record in records]
    state = [Sample({**labels, "state": record.state.status}, 1) for labels, record in known]
    yield Family("seaway_container_state", "gauge", "Always 1: the label says how it is", state)
    health = [
        Sample({**labels, "health": record.state.health.status}, 1) for labels, record in known if record.state.health
    ]
    yield Family("seaway_container_health", "gauge", "Always 1: the label says what its checks say", health)
    restarts = [Sample(labels, record.container.restart_count) for labels, record in known]
    doc = "Restarts by its policy since somebody started it"
    yield Family("seaway_container_restarts", "gauge", doc, restarts)
    began = [Sample(labels, round(record.state.started_at * _NANO, 3)) for labels, record in known if record.alive]
    yield Family("seaway_container_start_time_seconds", "gauge", "When it was started, Unix seconds", began)
    ended = [
        Sample(labels, record.state.exit.code)
        for labels, record in known
        if record.state.exit and not record.state.exit.unknown and not record.alive
    ]
    yield Family("seaway_container_exit_code", "gauge", "How its last run ended, where it doesn't run", ended)


def of_groups(records: Iterable[Record], used: Mapping[str, Usage]) -> Iterator[Family]:
    """What each that runs uses."""
    known = [(_labels(record), used[record.container.cgroup]) for record in records if record.container.cgroup in used]
    for name, kind, doc, figure in _USED:
        samples = [Sample(labels, value) for labels, usage in known if (value := figure(usage)) is not None]
        yield Family(f"seaway_container_{name}", "counter" if kind == "counter" else "gauge", doc, samples)


def _labels(record: Record) -> dict[str, str]:
    container = record.container
    return {"id": container.id, "name": container.name, "image": container.spec.image}


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds * _NANO


async def _usages(host: Host, groups: list[str]) -> dict[str, Usage]:
    """What groups use, as far as the runtime says: it may be away, or of a version before this call."""
    found: dict[str, Usage] = {}
    left = iter(groups)
    while some := tuple(islice(left, _AT_ONCE)):
        try:
            found |= (await host.bus.call(runtime.usage, runtime.Groups(cgroups=some), seconds=_PATIENCE)).groups
        except Error:
            break
    return found


def _losses(host: Host, records: Iterable[Record]) -> Iterator[Family]:
    """Lines of output that logs have lost: a shim that has lost some keeps their number in a file."""
    directory = Path(host.settings.run_dir, "shim")
    samples = [Sample(_labels(record), _number(directory / record.id / "lost")) for record in records if record.alive]
    doc = "Lines of output that its log has lost, since it was started"
    yield Family("seaway_container_log_lines_lost_total", "counter", doc, samples)


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
