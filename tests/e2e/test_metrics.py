"""`GET /metrics`, the sockets of the services, and the trace that each answer has. Docker has none of this."""

from __future__ import annotations

import re
import socket
import stat
import time
from pathlib import Path

import pytest
from support.api import Api
from support.conditions import until
from support.docker import Docker
from support.target import Target, seaway_only

pytestmark = seaway_only("metrics of the whole host are Seaway's own")

SERVICES = ("daemon", "supervisor", "runtime", "network", "shim")
LINE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Page:
    """A page of metrics, read strictly: each family once, declared before its samples."""

    def __init__(self, text: str) -> None:
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        kinds: dict[str, str] = {}
        family = ""
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                assert family not in kinds, f"{family} stands in two places"
            elif line.startswith("# TYPE "):
                assert line.split(" ")[2] == family
                kinds[family] = line.split(" ")[3]
            else:
                found = LINE.fullmatch(line)
                assert found and found["name"].startswith(family), line
                key = found["name"], frozenset(LABEL.findall(found["labels"] or ""))
                assert key not in self.samples, f"twice: {line}"
                self.samples[key] = float(found["value"])

    def get(self, family: str, /, **labels: str) -> float | None:
        """The sum of the samples of a family with these labels; None where there is none."""
        found = [
            value
            for (each, has), value in self.samples.items()
            if each == family and labels.items() <= dict(has).items()
        ]
        return sum(found) if found else None


@pytest.fixture
def page(api: Api) -> Page:
    return Page(api.get("/metrics").body.decode())


def read(api: Api) -> Page:
    answer = api.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return Page(answer.body.decode())


def test_one_page_has_every_service_of_the_host(page: Page) -> None:
    for service in SERVICES:
        assert page.get("seaway_build_info", service=service) == 1
        assert page.get("seaway_bus_connected", service=service) == 1
        assert page.get("seaway_metrics_failures_total", service=service) == 0
        assert (page.get("process_resident_memory_bytes", service=service) or 0) > 1 << 20
    for service in SERVICES[1:]:
        assert page.get("seaway_up", service=service) == 1


def test_a_container_is_told_with_what_it_uses(api: Api, docker: Docker, image: str, name: str) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 60"
    id = docker.ok("run", "-d", "--name", name, "-m", "64m", image, "sh", "-c", script).strip()
    docker.await_logs(name, "done")
    page = read(api)
    labels = {"id": id, "name": name, "image": image}
    assert page.get("seaway_container_state", state="running", **labels) == 1
    assert (page.get("seaway_container_cpu_seconds_total", **labels) or 0) > 0
    assert (page.get("seaway_container_memory_bytes", **labels) or 0) > 0
    assert page.get("seaway_container_memory_limit_bytes", **labels) == 64 << 20
    assert page.get("seaway_container_processes", **labels) == 1
    assert page.get("seaway_container_network_sent_bytes_total", **labels) is not None
    assert page.get("seaway_container_oom_kills_total", **labels) == 0
    assert page.get("seaway_container_log_lines_lost_total", **labels) == 0
    assert abs((page.get("seaway_container_start_time_seconds", **labels) or 0) - time.time()) < 300
    docker.ok("kill", name)
    docker.ok("wait", name)
    page = read(api)
    assert page.get("seaway_container_state", state="exited", **labels) == 1
    assert page.get("seaway_container_exit_code", **labels) == 137
    assert page.get("seaway_container_cpu_seconds_total", **labels) is None
    docker.ok("rm", name)
    assert not any(id in dict(labels).values() for _, labels in read(api).samples)


def test_lines_that_a_log_has_lost_are_counted(api: Api, docker: Docker, image: str, name: str) -> None:
    log = ("--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=4k")
    docker.ok("run", "-d", "--name", name, *log, image, "sh", "-c", "while :; do echo line; done")
    until(lambda: (read(api).get("seaway_container_log_lines_lost_total", name=name) or 0) > 0, 60)


def test_questions_to_name_servers_and_what_is_set_up_are_counted(
    api: Api, docker: Docker, image: str, name: str
) -> None:
    def now(family: str, **labels: str) -> float:
        return read(api).get(family, **labels) or 0

    queries = "seaway_dns_queries_total"
    before = {family: now(family) for family in ("seaway_networks", "seaway_sandboxes", "seaway_published_ports")}
    asked, shims = now(queries, answered_by="seaway"), now("seaway_shims")
    docker.ok("network", "create", name)
    try:
        docker.ok("run", "-d", "--name", name, "--network", name, "-p", "127.0.0.1::80", image, "sleep", "60")
        docker.ok("exec", name, "nslookup", name)
        assert {family: now(family) - count for family, count in before.items()} == dict.fromkeys(before, 1)
        assert now(queries, answered_by="seaway") > asked
        assert now("seaway_shims") == shims + 1
        assert now("seaway_shims_total", how="new") > 0
    finally:
        docker("rm", "-f", name)
        docker.ok("network", "rm", name)


def test_requests_are_counted_by_their_route_and_not_by_their_path(api: Api, name: str) -> None:
    route = {"route": "/containers/{name}/json", "method": "GET", "code": "404"}
    before = read(api).get("seaway_http_requests_total", **route) or 0
    for number in range(3):
        assert api.get(f"/containers/{name}-{number}/json").status == 404
    api.request("BREW", f"/{name}")
    after = read(api)
    assert (after.get("seaway_http_requests_total", **route) or 0) - before == 3
    assert not any(name in str(labels) for _, labels in after.samples)


def test_who_scrapes_needs_no_access_to_the_engine(api: Api, target: Target) -> None:
    path = target.root / "run" / "metrics" / "daemon.sock"
    if not target.root.parts:
        pytest.skip("the engine was there before: its directories aren't known")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")[2]
    assert {key for key, _ in Page(answer.decode()).samples} >= {"seaway_up", "seaway_containers"}
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 404")


def test_a_service_that_is_away_is_told_to_be(api: Api, target: Target) -> None:
    if not target.root.parts:
        pytest.skip("the engine was there before: its directories aren't known")
    socket_ = target.root / "run" / "metrics" / "runtime.sock"
    hidden = Path(f"{socket_}.hidden")
    socket_.rename(hidden)
    try:
        page = read(api)
    finally:
        hidden.rename(socket_)
    assert page.get("seaway_up", service="runtime") == 0
    assert page.get("seaway_up", service="network") == 1


@pytest.mark.parametrize("path", ["/_ping", "/containers/none/json", "/containers/json"])
def test_each_answer_has_the_trace_by_which_it_is_found_in_the_journal(api: Api, path: str) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert api.get(path, headers={"traceparent": given}).headers["Traceparent"] == given
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", api.get(path).headers["Traceparent"])


def test_a_stream_has_its_trace_too(api: Api) -> None:
    with api.connect() as client:
        client.sendall(b"GET /events?since=1&until=2 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"\r\nTraceparent: 00-" in answer
