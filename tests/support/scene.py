"""The scene that counts: a host at work. Whatever is done to the engine meanwhile, each of its eyes says what it saw.

web-0 … web-5       serve a page on ports 8100 … 8105, which `Requests` asks for all the time
ask-0 … ask-3       look each other's and the servers' names up all the time, on a network of their own
well-0 … well-3     have a health check each second, which notes the time
count-0 … count-3   count aloud; `docker logs -f` of the first is open all the time
loud                prints 10 MB/s of numbered lines; `docker logs -f` of it is open, too
typist              has a shell in it, on a terminal, that is typed into all the time
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pexpect

from support.conditions import until
from support.systemd_host import SystemdHost

WEB, ASK, WELL, COUNT = range(6), range(4), range(4), range(4)

_IMAGE = """
mkdir -p /tmp/scene/bin /tmp/scene/www /tmp/scene/tmp
cp /bin/busybox /tmp/scene/bin/
for name in sh httpd sleep usleep cat nslookup awk date echo grep; do ln -sf busybox /tmp/scene/bin/$name; done
echo hello >/tmp/scene/www/index.html
tar -C /tmp/scene -c . | docker import - scene
"""

_LOOK_UP = """
while :; do
    for name in web-0 web-3 ask-0 ask-1; do
        if nslookup -type=a $name 127.0.0.11 >/tmp/said 2>&1; then echo found; else echo lost $name; cat /tmp/said; fi
        usleep 50000
    done
done
"""

_COUNT = "i=0; while :; do echo $i; i=$((i+1)); usleep 10000; done"

_LOUD = """
exec awk 'BEGIN {
    for (start = systime(); ; n++) {
        printf "%0999d\\n", n
        if (n % 500 == 499) {
            fflush()
            while (n > 10000 * (systime() - start + 1)) system("usleep 20000")
            if (n > 10000 * (systime() - start)) system("usleep 30000")
        }
    }
}'
"""

_REQUESTS = """
import json, signal, sys, time, urllib.request
done, failed, stopping = 0, [], False
def stop(*_):
    global stopping
    stopping = True
signal.signal(signal.SIGTERM, stop)
print("begun", flush=True)
while not stopping:
    for port in map(int, sys.argv[1:]):
        try:
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read() == b"hello\\n"
            done += 1
        except Exception as error:
            failed.append(f"{time.time():.3f} port {port}: {error!r}")
        time.sleep(0.01)
print(json.dumps([done, failed]), flush=True)
"""


@dataclass
class Follower:
    """`docker logs -f` of a container that prints numbers, one a line, from its beginning."""

    process: subprocess.Popen[str]
    expected: int = 0
    wrong: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Read until the end; whatever isn't the next number is noted."""
        assert self.process.stdout
        for line in self.process.stdout:
            if not line.endswith("\n"):
                return  # cut off when it was told to stop
            if line.strip().isdigit() and int(line) == self.expected:
                self.expected += 1
            else:
                self.wrong.append(f"expected {self.expected}, got {line.strip().lstrip('0')[:40]!r}")
                self.expected = int(line) + 1 if line.strip().isdigit() else self.expected


@dataclass
class Typist:
    """A terminal in a container. What is typed must come back, whole and in order."""

    terminal: pexpect.spawn[str]
    typed: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def type(self) -> None:
        """Type until told to stop."""
        while not self.stop.is_set() and not self.wrong:
            began = time.monotonic()
            try:
                self.terminal.sendline(f"echo said-$(({self.typed} + 1000000))")
                self.terminal.expect_exact(f"said-{self.typed + 1000000}", timeout=30)
            except (pexpect.ExceptionPexpect, OSError) as error:
                self.wrong.append(f"after {self.typed}: {type(error).__name__}: {str(self.terminal.before)[-300:]!r}")
                return
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.typed += 1
            time.sleep(0.1)


@dataclass
class Scene:
    """The host at work."""

    host: SystemdHost
    pids: dict[str, int]
    requests: subprocess.Popen[str]
    followers: dict[str, Follower]
    typist: Typist
    threads: list[threading.Thread]

    def unharmed(self) -> None:
        """Raises AssertionError where a container has another process than it had."""
        assert {name: self.host.pid(name) for name in self.pids} == self.pids

    def verdict(self) -> dict[str, tuple[int, list[str]]]:
        """How often each eye looked, and what it saw go wrong. Nobody looks afterwards."""
        self.requests.send_signal(signal.SIGTERM)
        self.typist.stop.set()
        done, failed = json.loads(self.requests.communicate(timeout=60)[0])
        found: dict[str, tuple[int, list[str]]] = {"requests": (done, failed)}
        for name, follower in self.followers.items():
            seen = follower.expected
            until(lambda f=follower, seen=seen: f.expected > seen, 30)  # type: ignore[misc]
            follower.process.kill()
            found[f"lines of {name}"] = (follower.expected, follower.wrong)
        for thread in self.threads:
            thread.join(60)
        found["lines typed"] = (self.typist.typed, self.typist.wrong)
        found["look-ups"] = self._look_ups()
        found["health checks"] = self._checks()
        return found

    def _look_ups(self) -> tuple[int, list[str]]:
        said = [line for n in ASK for line in self.host.run("docker", "logs", f"ask-{n}").splitlines()]
        return said.count("found"), [line for line in said if line != "found"]

    def _checks(self) -> tuple[int, list[str]]:
        """One each second: three seconds without one is too late."""
        late, count = [], 0
        for n in WELL:
            times = [float(line) for line in self.host.run("docker", "exec", f"well-{n}", "cat", "/tmp/times").split()]
            count += len(times)
            gaps = [after - before for before, after in itertools.pairwise(times)]
            late += [f"well-{n}: {gap:.1f} s without a check" for gap in gaps if gap > 3]
            status = self.host.run("docker", "inspect", "-f", "{{.State.Health.Status}}", f"well-{n}").strip()
            late += [f"well-{n} is {status}"] if status != "healthy" else []
        return count, late


@contextlib.contextmanager
def at_work(host: SystemdHost) -> Iterator[Scene]:
    """The host at work for the time of a `with`."""
    host.shell(_IMAGE)
    host.run("docker", "network", "create", "scene")
    names = _start(host)
    requests = subprocess.Popen(
        host.fleet.argv(host.name, ["python3", "-c", _REQUESTS, *(str(8100 + n) for n in WEB)]),
        stdout=subprocess.PIPE,
        text=True,
    )
    followers = {name: Follower(_open(host, "docker", "logs", "-f", name)) for name in ("count-0", "loud")}
    argv = host.fleet.argv(host.name, ["env", _HOST, "docker", "exec", "-it", "typist", "sh"])
    typist = Typist(pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=30))
    threads = [threading.Thread(target=each.follow, daemon=True) for each in followers.values()]
    threads.append(threading.Thread(target=typist.type, daemon=True))
    try:
        assert requests.stdout and requests.stdout.readline() == "begun\n"
        for thread in threads:
            thread.start()
        until(lambda: all(each.expected for each in followers.values()) and typist.typed, 60)
        yield Scene(host, {name: host.pid(name) for name in names}, requests, followers, typist, threads)
    finally:
        for process in (requests, *(each.process for each in followers.values())):
            process.kill()
            process.wait()
        typist.stop.set()
        typist.terminal.close(force=True)
        host.run("docker", "rm", "-f", *names, check=False)
        host.run("docker", "network", "rm", "scene", check=False)


_HOST = "DOCKER_HOST=unix:///run/seaway/engine.sock"


def _start(host: SystemdHost) -> list[str]:
    """Start the twenty containers; their names."""
    scripts = {f"count-{n}": ([], _COUNT) for n in COUNT}
    # By default a line is rotated away after ten seconds, and lost to a reader that a busy machine keeps from it.
    kept = ["--log-opt", "max-size=256m", "--log-opt", "max-file=8", "--log-opt", "compress=false"]
    scripts |= {"loud": (kept, _LOUD), "typist": ([], "exec sleep 100000")}
    scripts |= {f"web-{n}": (["-p", f"{8100 + n}:80"], "exec httpd -f -h /www") for n in WEB}
    scripts |= {f"ask-{n}": ([], _LOOK_UP) for n in ASK}
    health = ["--health-interval", "1s", "--health-timeout", "10s", "--health-cmd", "date +%s >>/tmp/times"]
    scripts |= {f"well-{n}": (health, "exec sleep 100000") for n in WELL}
    for name, (options, script) in scripts.items():
        fixed = ["docker", "run", "-d", "--init=false", "--network", "scene", "--name", name, *options]
        host.run(*fixed, "scene", "sh", "-c", script)
    return list(scripts)


def _open(host: SystemdHost, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        host.fleet.argv(host.name, ["env", _HOST, *argv]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
