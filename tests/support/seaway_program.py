"""Speaks as `seaway upgrade --json` and `seaway rollback --json` do, on a directory of versions; for fleets of tests.

    seaway_program.py OPT upgrade --from DIR --json [--downgrade] [--shims] SERVICE…
    seaway_program.py OPT rollback --json SERVICE…

A package is a text: what becomes of its service. `works`; `fails` is taken back; `stuck` works neither before nor
after; `slow` waits for a file `go` in OPT. What was done is appended to OPT/log.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

ORDER = ("bus", "network", "runtime", "shim", "supervisor", "fleet", "daemon", "cli")


def current(opt: Path, service: str) -> str:
    return (opt / service / "current").readlink().name


def flip(opt: Path, service: str, version: str) -> None:
    (opt / service / version).mkdir(parents=True, exist_ok=True)
    (opt / service / ".current").unlink(missing_ok=True)
    (opt / service / ".current").symlink_to(version)
    (opt / service / ".current").replace(opt / service / "current")


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def main() -> int:
    opt, verb, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    services = [each for each in ORDER if each in arguments]
    with (opt / "log").open("a") as log:
        log.write(f"{verb} {' '.join(services)}\n")
    done = upgrade if verb == "upgrade" else rollback
    return done(opt, arguments, services, stopping)


def upgrade(opt: Path, arguments: list[str], services: list[str], stopping: list[int]) -> int:
    packages = {each.name.split("_")[0].removeprefix("seaway-"): each for each in Path(arguments[1]).glob("*.deb")}
    for service in services:
        if stopping:
            say(result="interrupted", says="stopped as asked")
            return 130
        before, after = current(opt, service), packages[service].name.split("_")[1]
        what = packages[service].read_text().split()[0]
        if before == after:
            continue
        step = {"service": service, "before": before, "after": after}
        if what == "fails":
            say(**step, state="taken back", says=f"cannot use {service} {after}; it is {before} again, and well")
            say(
                result="taken back",
                says=f"cannot use {service} {after}: it says nothing; it is {before} again, and well",
            )
            return 3
        flip(opt, service, after)
        (opt / service / ".before").write_text(before)
        if what == "stuck":
            say(**step, state="not well", says=f"{service} isn't well")
            say(result="not well", says=f"cannot use {service} {after}; it is {before} again, still not well")
            return 4
        while what == "slow" and not (opt / "go").exists() and not stopping:
            time.sleep(0.01)
        say(**step, state="done", says="ready, a container ran, all others go on")
    say(result="done", says="")
    return 0


def rollback(opt: Path, arguments: list[str], services: list[str], stopping: list[int]) -> int:
    for service in reversed(services):
        if (opt / service / "no-way-back").exists():
            say(result="not well", says=f"version before of {service} isn't there any more; install its package")
            return 4
        now, before = current(opt, service), (opt / service / ".before").read_text()
        flip(opt, service, before)
        say(service=service, before=now, after=before, state="done", says="")
    say(result="done", says="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
