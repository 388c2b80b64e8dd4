"""`make fleet-demo`: three hosts with a real systemd each become a fleet and are upgraded, while people visit.

Everything printed behind `h1#` is what a person would type there. Ends with 0 where all went as told.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.conditions import until
from support.fleet_hosts import Hosts, from_packages
from support.systemd_host import SystemdHost

_BOLD, _PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def main() -> int:
    """Show it; the exit code."""
    docker = shutil.which("docker")
    place = Path(os.environ["SEAWAY_FLEET_PACKAGES"])
    if docker is None:
        print("cannot show the fleet: there is no docker command", file=sys.stderr)
        return 1
    tell("Three hosts boot, each with its own systemd, network and Seaway's packages (version 0.1.1)")
    with from_packages(3, place / "now", {"next": place / "next", "broken": place / "broken"}, Path(docker)) as hosts:
        found(hosts)
        serve(hosts)
        visitors = [host.probe("http://127.0.0.1:8080/") for host in hosts.hosts]
        before = processes(hosts)
        wrong = upgraded(hosts) + refused(hosts)
        tell("What the visitors and the containers noticed")
        for host, visitor in zip(hosts.hosts, visitors, strict=True):
            wrong += noticed(host, visitor)
        after = processes(hosts)
        same = "the same processes as before" if after == before else f"others than before: {before} {after}"
        print(f"containers: {same}")
        return 1 if wrong or after != before else 0


def tell(what: str) -> None:
    """Say what comes next."""
    print(f"\n{_BOLD}{what}{_PLAIN}", flush=True)


def typed(hosts: Hosts, number: int, *words: str) -> int:
    """Run a command on a host, its output straight to ours; its exit code."""
    print(f"h{number}# {' '.join(words)}", flush=True)
    command = ["env", "DOCKER_HOST=unix:///run/seaway/engine.sock", *words]
    return subprocess.run(hosts.fleet.argv(f"h{number}", command), check=False).returncode


def found(hosts: Hosts) -> None:
    """Make the fleet."""
    tell("The first makes a fleet, the others join it")
    typed(hosts, 1, "seaway", "fleet", "init", "harbour", "--address", hosts.address(1))
    for number in range(2, len(hosts) + 1):
        print("h1# seaway fleet token --quiet")
        token = hosts[1].run("seaway", "fleet", "token", "--quiet").strip()
        print(f"{token[:60]}…")
        print(f"h{number}# seaway fleet join {hosts.address(1)} {token[:12]}…")
        print(hosts[number].run("seaway", "fleet", "join", hosts.address(1), token), end="")
    until(lambda: len(hosts.ready()) == len(hosts), 60)
    typed(hosts, 1, "seaway", "fleet", "ls")


def serve(hosts: Hosts) -> None:
    """A service on each host."""
    tell("A service on each host, started from the first")
    for host in hosts.hosts:
        host.make_image()
    options = ("-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-p", "80", "-h", "/www")
    for number in range(1, len(hosts) + 1):
        typed(hosts, 1, "seaway", "-H", f"h{number}", "run", *options)
    typed(hosts, 1, "seaway", "fleet", "ps")


def upgraded(hosts: Hosts) -> int:
    """An upgrade in waves; how much went wrong."""
    tell("Every service of every host is upgraded to 0.1.2: first one host, then the rest")
    began = time.monotonic()
    code = typed(hosts, 1, "seaway", "fleet", "upgrade", "--from", "/next", "--canary", "1", "--batch", "100%")
    print(f"took {time.monotonic() - began:.0f} s")
    typed(hosts, 1, "seaway", "fleet", "ls", "--versions")
    return int(code != 0)


def refused(hosts: Hosts) -> int:
    """A version that starts no container is tried on one host and taken back; how much went wrong."""
    tell("Now 0.1.3 of the supervisor comes along, which gets ready but can start no container")
    began = time.monotonic()
    code = typed(hosts, 1, "seaway", "fleet", "upgrade", "--from", "/broken", "--canary", "1", "--batch", "100%")
    print(f"ended with {code} (3: rolled back), took {time.monotonic() - began:.0f} s")
    typed(hosts, 1, "seaway", "fleet", "ls", "--versions")
    typed(hosts, 1, "seaway", "fleet", "history")
    return int(code != 3)


def noticed(host: SystemdHost, visitor: subprocess.Popen[str]) -> int:
    """How many requests a host has answered; how many it hasn't."""
    visitor.send_signal(signal.SIGTERM)
    done, failed = json.loads(visitor.communicate(timeout=30)[0].strip().splitlines()[-1])
    print(f"{host.name}: {done} requests answered, {len(failed)} failed {failed[:2] or ''}")
    return len(failed)


def processes(hosts: Hosts) -> dict[str, int]:
    """The first process of each host's service."""
    return {host.name: host.pid("web") for host in hosts.hosts}


if __name__ == "__main__":
    sys.exit(main())
