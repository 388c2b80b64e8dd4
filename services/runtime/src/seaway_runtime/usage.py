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
    ("io", "rbytes"): "read_bytes",
    ("io", "wbytes"): "written_bytes",
    ("io", "rios"): "reads",
    ("io", "wios"): "writes",
    ("net", "rx_bytes"): "received_bytes",
    ("net", "tx_bytes"): "sent_bytes",
    ("net", "rx_packets"): "received_packets",
    ("net", "tx_packets"): "sent_packets",
    ("net", "rx_dropped"): "received_dropped",
    ("net", "tx_dropped"): "sent_dropped",
}
"""Figures that are sums over devices or interfaces, which are without bound."""


def summary(counters: Mapping[str, int]) -> Usage:
    """The figures; None for one of which there is no counter."""
    figures = {name: counters[counter] for name, counter in _PLAIN.items() if counter in counters}
    for counter, value in counters.items():
        if counter.startswith(("io.", "net.")) and (name := _SUMS.get(_ends(counter))):
            figures[name] = figures.get(name, 0) + value
    if (memory := figures.get("memory")) is not None:
        figures["working_set"] = max(0, memory - counters.get("memory.stat.inactive_file", 0))
    return Usage(**figures)


def _ends(counter: str) -> tuple[str, str]:
    """The first and the last word of `io.<device>.<what>`."""
    return counter[: counter.index(".")], counter[counter.rindex(".") + 1 :]
