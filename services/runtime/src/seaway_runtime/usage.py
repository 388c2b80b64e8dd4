"""A group's counters, as `counters` reads them, in the few figures that metrics have. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from seaway_protocol.runtime import Usage

_PLAIN = {
    "cpu_ns": "cpu.usage_ns",
    "cpu_user_ns": "cpu.user_ns",
    "cpu_system_ns": "cpu.system_ns",
    "cpu_throttled_ns": "cpu.throttled_ns",
    "memory": "memory.current",
    "memory_limit": "memory.max",
    "oom_kills": "memory.events.oom_kill",
    "processes": "pids.current",
    "processes_limit": "pids.max",
}
"""Figures that are a counter each."""

_SUMS = {
    "read_bytes": ("io.", ".rbytes"),
    "written_bytes": ("io.", ".wbytes"),
    "reads": ("io.", ".rios"),
    "writes": ("io.", ".wios"),
    "received_bytes": ("net.", ".rx_bytes"),
    "sent_bytes": ("net.", ".tx_bytes"),
    "received_packets": ("net.", ".rx_packets"),
    "sent_packets": ("net.", ".tx_packets"),
    "received_dropped": ("net.", ".rx_dropped"),
    "sent_dropped": ("net.", ".tx_dropped"),
}
"""Figures that are sums over devices or interfaces, which are without bound."""


def summary(counters: Mapping[str, int]) -> Usage:
    """The figures; None for one of which there is no counter."""
    figures: dict[str, int | None] = {name: counters.get(counter) for name, counter in _PLAIN.items()}
    for name, (kind, what) in _SUMS.items():
        found = [value for counter, value in counters.items() if counter.startswith(kind) and counter.endswith(what)]
        figures[name] = sum(found) if found else None
    if (memory := figures["memory"]) is not None:
        figures["working_set"] = max(0, memory - counters.get("memory.stat.inactive_file", 0))
    return Usage(**figures)
