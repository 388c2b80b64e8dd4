"""Services of two versions beside each other: the states to walk through, and what must be so in each of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.conditions import until
from support.systemd_host import SystemdHost


def flips(services: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Which service becomes the new (True) or the old version next, from all old to all old again.

    All become new in an order, and then old again in the same order, not the reverse: of any two services the first one
    is then once new beside the old second one, and once old beside the new one. Twelve flips for six services, and none
    can be spared, since each service must come and go.
    """
    for new in (True, False):
        for service in services:
            yield service, new


def states(services: Sequence[str]) -> list[dict[str, bool]]:
    """Every state on the way, the first and the last one included."""
    state = dict.fromkeys(services, False)
    return [state.copy(), *(state.copy() for service, new in flips(services) if state.update({service: new}) is None)]


def pairs(seen: list[dict[str, bool]]) -> set[tuple[str, bool, str, bool]]:
    """Which versions of any two services were there at the same time."""
    return {(one, state[one], other, state[other]) for state in seen for one, other in itertools.combinations(state, 2)}


_SCRIPT = "httpd -f -h /www & i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done"
_HEALTH = ("--health-interval", "1s", "--health-timeout", "10s", "--health-cmd", "cat /www/index.html")
_SETTLED = """
docker network create skew
docker network create --subnet 10.99.7.0/24 --label of=skew fixed
docker volume create --label of=skew kept
docker run --rm -v kept:/data busybox sh -c 'echo lasting >/data/file'
docker run -d --name paused -m 32m --network skew busybox sleep 100000
docker pause paused
docker create --name created -e A=b -l of=skew -v kept:/data busybox cat /data/file
docker run --name ended busybox sh -c 'echo said; exit 3' || true
docker tag busybox skew:kept
docker run -d --name rotated --log-opt max-size=20k --log-opt max-file=3 busybox \\
    sh -c 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exec sleep 100000'
docker run -d --name busy --restart on-failure:3 --memory 48m --pids-limit 100 --network skew busybox sleep 100000
docker exec -d busy sleep 99999
"""


@dataclass
class Skew:
    """A host whose services are replaced one by one; a container is born in each state, and lives in all later ones."""

    host: SystemdHost
    born: dict[str, int] = field(default_factory=dict)
    """Process ids by name."""
    settled: dict[str, Any] = field(default_factory=dict)
    """What was there before anything was replaced, as it was shown then."""

    def settle(self) -> None:
        """Make one of everything that lies on a disk."""
        self.host.shell(_SETTLED)
        self.settled = self._shown()

    def check(self, state: str) -> None:
        """Everything works, with containers of all ages. Raises AssertionError with the state's name."""
        try:
            self._work()
            self.unharmed()
        except AssertionError as error:
            raise AssertionError(f"with {state}: {error}") from error

    def unharmed(self) -> None:
        """Containers of every age are the processes that they were, and what lies on a disk says what it said."""
        names = list(self.born)
        if names:
            pids = self.host.run("docker", "inspect", "-f", "{{.State.Pid}} {{.State.Health.Status}}", *names)
            assert pids.splitlines() == [f"{self.born[name]} healthy" for name in names]
        now = self._shown()
        for key, before in self.settled.items():
            assert agrees(before, now[key]), f"{key} was {before}, and is {now[key]}"

    def remove(self) -> None:
        """End and remove everything; each container ends as it was told to."""
        host = self.host
        host.run("docker", "unpause", "paused", check=False)
        host.run("docker", "rm", "-f", *self.born, "paused", "created", "ended", "rotated", "busy", check=False)
        host.run("docker", "volume", "rm", "kept", check=False)
        host.run("docker", "rmi", "skew:kept", check=False)
        host.run("docker", "network", "rm", "skew", "fixed", check=False)

    def _work(self) -> None:
        host, n = self.host, len(self.born)
        newest, oldest = f"born-{n}", next(iter(self.born), f"born-{n}")
        options = ["--network", "skew", "-p", f"{8200 + n}:80", *_HEALTH]
        host.run("docker", "run", "-d", "--name", newest, *options, "busybox", "sh", "-c", _SCRIPT)
        self.born[newest] = host.pid(newest)
        told = host.shell(
            f"""
            for name in {newest} {oldest}; do
                docker exec $name sh -c 'echo "exec $(cat /www/index.html)"; exit 5' || echo "code $?"
                timeout 20 docker logs -f $name | busybox head -n 40 | busybox tail -n 1
            done
            docker exec {newest} busybox nslookup -type=a {oldest} 127.0.0.11 >/dev/null && echo "{oldest} found"
            docker exec {oldest} busybox nslookup -type=a {newest} 127.0.0.11 >/dev/null && echo "{newest} found"
            busybox wget -qO- http://127.0.0.1:{8200 + n}/
            busybox wget -qO- http://127.0.0.1:8200/
            docker run --rm busybox sh -c 'echo ran; exit 4' || echo "code $?"
            docker run -d --name short busybox sh -c 'trap "exit 6" TERM; while :; do usleep 10000; done' >/dev/null
            docker pause short; docker unpause short; docker update -m 80m --memory-swap 80m short
            docker stop -t 20 short; docker inspect -f '{{{{.State.ExitCode}}}}' short
            docker start short; docker kill -s KILL short; docker wait short; docker rm short
            docker run --rm -v kept:/data busybox cat /data/file
            """
        )
        each = ["exec hello", "code 5", "39"]
        said = [*each, *each, f"{oldest} found", f"{newest} found", "hello", "hello", "ran", "code 4"]
        said += ["short"] * 4 + ["6", "short", "short", "137", "short", "lasting"]
        assert told.splitlines() == said, told
        until(lambda: host.run("docker", "inspect", "-f", "{{.State.Health.Status}}", newest) == "healthy\n", 30)
        found = json.loads(host.run("seaway", "doctor", "--json", check=False))
        assert [line for line in found if line["level"] == "wrong"] == []

    def _shown(self) -> dict[str, Any]:
        """What the engine shows of what was settled."""
        host = self.host
        names = ["paused", "created", "ended", "rotated", "busy"]
        inspected = {each["Name"]: each for each in json.loads(host.run("docker", "inspect", *names))}
        for each in inspected.values():
            each.pop("State", None), each.pop("ExecIDs", None)
        states = host.run(
            "docker", "inspect", "-f", "{{.Name}} {{.State.Status}} {{.State.Pid}} {{.State.ExitCode}}", *names
        )
        return {
            "states": states.splitlines(),
            "execs": json.loads(host.run("docker", "inspect", "-f", "{{json .ExecIDs}}", "busy")),
            "containers": inspected,
            "volume": json.loads(host.run("docker", "volume", "inspect", "kept")),
            "network": [
                {key: value for key, value in each.items() if key != "Containers"}
                for each in json.loads(host.run("docker", "network", "inspect", "skew", "fixed"))
            ],
            "image": json.loads(host.run("docker", "image", "inspect", "skew:kept")),
            "log": host.run("docker", "logs", "rotated").splitlines()[-500:],
            "said": host.run("docker", "logs", "ended"),
        }


def agrees(before: Any, now: Any) -> bool:
    """Whether all that was said before is said now, too; another version may say more."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and agrees(value, now[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(agrees, before, now))
    return bool(before == now)
