"""What it costs to see a whole fleet: simulated hosts on a real bus, asked through a real daemon and the command line.

python -m bench.fleet [--hosts 1000] [--rounds 100]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support.api import Api
from support.simulated_fleet import simulated_fleet

from bench.report import machine


def percentile(samples: list[float], share: float) -> float:
    """The sample below which so large a share of them lies."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measured(ask: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of each of so many, after one that doesn't count."""
    ask()
    samples = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        samples.append((time.perf_counter() - began) * 1000)
    return samples


def complete(api: Api, path: str, hosts: int, **query: object) -> None:
    """Ask, and see that all hosts have answered."""
    answer = api.request("GET", path, **query)
    if answer.status != 200 or b'"Missing":[]' not in answer.body[: 16 * hosts + 64]:
        raise RuntimeError(f"{path} isn't complete: {answer.status} {answer.body[:200]!r}")


def command(socket: Path, *words: str) -> None:
    """A verb of the command line, as a person waits for it."""
    program = os.environ.get("SEAWAY_PROGRAM", str(Path(sys.executable).with_name("seaway")))
    subprocess.run([program, "--socket", str(socket), "fleet", *words], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000, help="each with 20 containers, of which 18 run")
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        with simulated_fleet(Path(directory), given.hosts) as socket:
            api = Api(socket)
            rows: dict[str, Callable[[], object]] = {
                "GET /fleet/hosts": lambda: complete(api, "/fleet/hosts", given.hosts),
                "GET /fleet/containers": lambda: complete(api, "/fleet/containers", given.hosts),
                "GET /fleet/containers, one label of the hosts": lambda: complete(
                    api, "/fleet/containers", given.hosts, on="region=eu"
                ),
                "GET /fleet/images": lambda: complete(api, "/fleet/images", given.hosts),
                "seaway fleet ls": lambda: command(socket, "ls", "--strict"),
                "seaway fleet ps": lambda: command(socket, "ps", "--strict"),
            }
            print(f"Machine: {machine()}; load {os.getloadavg()[0]:.1f}.\n")
            print(f"| {given.hosts} hosts (ms) | median | 90 % | 99 % |\n|---|---:|---:|---:|", flush=True)
            for title, ask in rows.items():
                samples = measured(ask, given.rounds)
                cells = " | ".join(f"{percentile(samples, share):.0f}" for share in (0.5, 0.9, 0.99))
                print(f"| {title} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
