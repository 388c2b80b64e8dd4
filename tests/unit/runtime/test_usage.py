"""What a group uses, from its counters."""

from __future__ import annotations

from seaway_protocol.runtime import Usage
from seaway_runtime.usage import summary


def test_devices_and_interfaces_are_added_up() -> None:
    counters = {
        "cpu.usage_ns": 5, "cpu.user_ns": 3, "memory.current": 100, "memory.stat.inactive_file": 30,
        "memory.events.oom_kill": 1, "pids.current": 2, "io.8:0.rbytes": 10, "io.8:16.rbytes": 5, "io.8:0.wios": 1,
        "net.eth0.rx_bytes": 7, "net.eth1.rx_bytes": 8, "net.eth0.tx_dropped": 0,
    }  # fmt: skip
    assert summary(counters) == Usage(
        cpu_ns=5, cpu_user_ns=3, memory=100, working_set=70, oom_kills=1, processes=2, read_bytes=15, writes=1,
        received_bytes=15, sent_dropped=0,
    )  # fmt: skip


def test_what_the_kernel_does_not_count_is_left_out() -> None:
    assert summary({}) == Usage()


def test_memory_that_shrinks_while_it_is_read_is_no_less_than_none() -> None:
    assert summary({"memory.current": 1, "memory.stat.inactive_file": 9}).working_set == 0
