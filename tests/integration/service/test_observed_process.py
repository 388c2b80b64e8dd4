"""A service as a process: its metrics on a socket, new settings at SIGHUP, and its lines in a real journal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import logging
import sys

from seaway_service import Settings, run


class Own(Settings, frozen=True, kw_only=True):
    port: int = 0


async def serve(settings, lifecycle):
    lifecycle.ready("here")
    await lifecycle.stopping.wait()


sys.exit(run("seaway-sample", "1.2.3", Own, serve, sys.argv[1:]))
"""


class Sample:
    """A service of two settings, and what it tells its service manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "run" / "metrics" / "sample.sock"
        self.config = directory / "sample.toml"
        self._log = directory / "log"
        (directory / "run").mkdir()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(directory / "notify"))
        self.manager.settimeout(30)

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        self.set(**settings)
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", PROGRAM, "--config", str(self.config)],
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify")},
            )
        assert "READY=1" in self.told()
        return process

    def set(self, **settings: str) -> None:
        lines = {"run_dir": str(self.directory / "run"), **settings}
        self.config.write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))

    def told(self) -> str:
        """The next thing that the service manager hears."""
        return self.manager.recv(4096).decode()

    def ask(self, request: str) -> tuple[str, str]:
        """Head and body of an answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(self.socket))
            client.sendall(request.encode())
            answer = b""
            while data := client.recv(65536):
                answer += data
        head, _, body = answer.decode().partition("\r\n\r\n")
        return head, body

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Sample]:
    made = Sample(tmp_path)
    with made.manager:
        yield made


@pytest.fixture
def running(sample: Sample) -> Iterator[subprocess.Popen[bytes]]:
    process = sample.start()
    yield process
    process.terminate()
    assert process.wait(30) == 0, sample.log


def test_curl_reads_the_metrics_of_a_service(sample: Sample, running: subprocess.Popen[bytes]) -> None:
    command = ["curl", "-sS", "-i", "--max-time", "30", "--unix-socket", str(sample.socket), "http://localhost/metrics"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert answer.startswith("HTTP/1.1 200 OK")
    assert "text/plain; version=0.0.4" in answer
    assert 'seaway_build_info{service="sample",version="1.2.3"} 1' in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /metrics HTTP/1.1\r\n\r\n", "200 OK"),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("GET /metrics?name[]=up HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"),
        ("nonsense\r\n\r\n", "405 Method Not Allowed"),
    ],
)
def test_it_answers_one_page(sample: Sample, running: subprocess.Popen[bytes], request_: str, status: str) -> None:
    head, body = sample.ask(request_)
    assert head.startswith(f"HTTP/1.1 {status}\r\n")
    assert bool(body) == (not request_.startswith("HEAD"))


def test_what_is_no_request_costs_nothing_but_its_connection(sample: Sample, running: subprocess.Popen[bytes]) -> None:
    with pytest.raises(OSError):  # closed at once, or while we still write
        head, _ = sample.ask("GET " + "x" * 100_000)
        raise OSError(head)
    assert sample.ask("GET /metrics HTTP/1.1\r\n\r\n")[0].startswith("HTTP/1.1 200")


def test_the_socket_is_for_owner_and_group_and_goes_with_the_service(sample: Sample) -> None:
    process = sample.start()
    assert sample.socket.stat().st_mode & 0o777 == 0o660
    assert sample.socket.parent.stat().st_mode & 0o777 == 0o750
    process.kill()
    process.wait(30)
    process = sample.start()  # what a killed one has left is no hindrance
    assert sample.ask("GET /metrics HTTP/1.1\r\n\r\n")[0].startswith("HTTP/1.1 200")
    process.terminate()
    assert process.wait(30) == 0
    assert not sample.socket.exists()


def test_the_socket_of_another_engine_is_left_alone(sample: Sample, running: subprocess.Popen[bytes]) -> None:
    other = subprocess.Popen(
        [sys.executable, "-I", "-c", PROGRAM, "--config", str(sample.config)], stderr=subprocess.PIPE, text=True
    )
    assert other.stderr
    assert "another process answers there" in other.stderr.readline()
    assert "seaway_build_info{" in sample.ask("GET /metrics HTTP/1.1\r\n\r\n")[1]
    other.terminate()
    assert other.wait(30) == 0
    assert sample.socket.exists()


def test_a_reload_is_told_from_its_begin_to_its_end(sample: Sample, running: subprocess.Popen[bytes]) -> None:
    sample.set(log_level="debug", node="n2")
    running.send_signal(signal.SIGHUP)
    begin = sample.told()
    assert begin.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert int(begin.rpartition("=")[2]) > 0
    assert sample.told() == "READY=1"
    assert "Reloaded log_level" in sample.log
    assert "These settings change with the next restart, not before: node" in sample.log
    sample.config.write_text("log_level = 7\n")
    running.send_signal(signal.SIGHUP)
    assert sample.told().startswith("RELOADING=1")
    assert sample.told() == "READY=1"
    assert "what was read before holds" in sample.log


def test_the_form_of_lines_changes_with_a_reload(sample: Sample, running: subprocess.Popen[bytes]) -> None:
    sample.set(log_format="json")
    running.send_signal(signal.SIGHUP)
    sample.told(), sample.told()
    assert json.loads(sample.log.splitlines()[-1])["message"] == "Reloaded log_format"


JOURNALD = Path("/lib/systemd/systemd-journald")

BOX = """
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d
printf '[Journal]\\nReadKMsg=no\\nStorage=volatile\\n' > /run/systemd/journald.conf.d/test.conf
echo 0123456789abcdef0123456789abcdef > /run/machine-id
test -e /etc/machine-id || touch /etc/machine-id
mount --bind /run/machine-id /etc/machine-id
"$1" 2>/dev/null &
journald=$!
trap 'kill $journald; wait $journald' EXIT
for try in $(seq 600); do test -S /run/systemd/journal/socket && break; sleep 0.1; done
"$2" -I -c "$3" || exit 1
for try in $(seq 600); do
    journalctl -q --all -o json "SEAWAY_TRACE_ID=$4" > /run/found
    test "$(wc -l < /run/found)" -ge 2 && break
    sleep 0.1
done
cat /run/found
"""

TRACE = "0af7651916cd43dd8448eb211c80319c"

WRITER = f"""
import logging
import os
import socket
import sys

from seaway_bus import concern, context, start_trace
from seaway_service import logs

stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"seaway-supervisor\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{{status.st_dev}}:{{status.st_ino}}"
logs.configure("info", "", "seaway-supervisor")
logs.tell(context.handled)
start_trace("00-{TRACE}-b7ad6b7169203331-01")
context.handle("supervisor.start")
concern("a" * 64, "web")
logging.getLogger("seaway.supervisor").warning("Cannot start %s", "it")
try:
    raise ValueError("why")
except ValueError:
    logging.getLogger("seaway.supervisor").exception("Unexpected")
"""


@pytest.mark.skipif(not JOURNALD.exists(), reason="there is no systemd-journald on this host")
def test_a_real_journal_finds_the_lines_of_a_request_by_its_trace() -> None:
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOX, "sh", str(JOURNALD), sys.executable]
    done = subprocess.run([*command, WRITER, TRACE], capture_output=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr.decode()
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(entry["PRIORITY"], entry["MESSAGE"].splitlines()[0]) for entry in entries] == [
        ("4", "Cannot start it"),
        ("3", "Unexpected"),
    ]
    assert entries[1]["MESSAGE"].endswith("ValueError: why")
    common = {
        "SYSLOG_IDENTIFIER": "seaway-supervisor", "SEAWAY_SERVICE": "supervisor", "SEAWAY_CALL": "supervisor.start",
        "SEAWAY_CONTAINER_ID": "a" * 64, "SEAWAY_CONTAINER_NAME": "web", "SEAWAY_TRACE_ID": TRACE,
        "_TRANSPORT": "journal",
    }  # fmt: skip
    assert all(entry.items() >= common.items() for entry in entries)
    assert all(entry["CODE_LINE"].isdigit() and entry["CODE_FUNC"] for entry in entries)
