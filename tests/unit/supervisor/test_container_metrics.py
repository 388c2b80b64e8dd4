"""Containers as metrics: which labels and samples there are."""

from __future__ import annotations

from seaway_protocol.runtime import Usage
from seaway_protocol.types import Container, ContainerSpec, ContainerState, ExitStatus, Health
from seaway_service.metrics import text
from seaway_supervisor.figures import of_containers, of_groups
from seaway_supervisor.records import Kept, Record


def record(name: str, state: ContainerState, restarts: int = 0) -> Record:
    return Record(
        Kept(
            container=Container(
                id=name * 64,
                name=name,
                spec=ContainerSpec(image="nginx:1"),
                image_id="sha256:1",
                created_at=1,
                state=state,
                cgroup=f"/seaway/{name}",
                restart_count=restarts,
            )
        )
    )


def test_a_container_that_runs() -> None:
    state = ContainerState(status="running", started_at=2_000_000_000, health=Health(status="healthy"))
    lines = text(of_containers([record("a", state, 2)])).splitlines()
    labels = f'id="{"a" * 64}",name="a",image="nginx:1"'
    assert [line for line in lines if not line.startswith("#")] == [
        f'seaway_container_state{{{labels},state="running"}} 1',
        f'seaway_container_health{{{labels},health="healthy"}} 1',
        f"seaway_container_restarts{{{labels}}} 2",
        f"seaway_container_start_time_seconds{{{labels}}} 2",
    ]


def test_one_that_has_ended_tells_how_unless_nobody_knows() -> None:
    known = ContainerState(status="exited", exit=ExitStatus(code=137))
    unknown = ContainerState(status="exited", exit=ExitStatus(code=255, unknown="its shim was killed"))
    page = text(of_containers([record("a", known), record("b", unknown)]))
    codes = [line for line in page.splitlines() if line.startswith("seaway_container_exit_code{")]
    assert [line.rpartition(" ")[2] for line in codes] == ["137"]


def test_what_is_used_is_told_of_those_whose_group_was_read_and_of_what_is_counted() -> None:
    running = ContainerState(status="running")
    usage = {"/seaway/a": Usage(cpu_ns=1_500_000_000, memory=4096)}
    lines = text(of_groups([record("a", running), record("b", running)], usage)).splitlines()
    told = [line.partition("{")[0] + line[line.rindex(" ") :] for line in lines if not line.startswith("#")]
    assert told == ["seaway_container_cpu_seconds_total 1.5", "seaway_container_memory_bytes 4096"]
