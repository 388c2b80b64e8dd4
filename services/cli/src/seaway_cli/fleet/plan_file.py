"""What an upgrade is to be like: from a file in TOML and from options, as the API has it.

from = "dist"                    the directory with the packages
services = ["daemon", "shim"]    all that are found unless given
on = ["region=eu"]               hosts with these labels
nodes = ["h1", "h2"]             these hosts

[[waves]]                        the last is repeated until no host is left
hosts = 1
on = ["canary"]
[[waves]]
percent = 25

[policy]
max_unavailable = 1
pause_between = "30s"
rollback = "wave"                or "all", or "pause"
host_timeout = "30m"
away_timeout = "2m"
gate = "curl -fs http://localhost:8080/health"
gate_timeout = "30s"
downgrade = false
shims = false
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "": 1}
_DURATION = re.compile(r"(\d+)\s*(s|m|min|h|)")


class PlanError(Exception):
    """What is wrong with a plan, as a sentence."""


def duration(text: str | int) -> int:
    """Seconds of `30`, `30s`, `5m`, `1h`. Raises PlanError."""
    found = _DURATION.fullmatch(str(text).strip())
    if not found:
        raise PlanError(f"{text!r} is no duration; give it as 30s, 5m or 1h")
    return int(found[1]) * _UNITS[found[2]]


def wave(text: str) -> dict[str, int]:
    """`3` hosts, or `25%` of all. Raises PlanError."""
    number = text.removesuffix("%").strip()
    if not number.isdigit() or int(number) < 1:
        raise PlanError(f"{text!r} is no size of a wave; give a number of hosts, or a percentage as 25%")
    return {"Percent": int(number)} if text.endswith("%") else {"Hosts": int(number)}


class _Wave(msgspec.Struct, forbid_unknown_fields=True):
    hosts: int = 0
    percent: int = 0
    on: list[str] = []


class _Policy(msgspec.Struct, forbid_unknown_fields=True):
    max_unavailable: int = 1
    pause_between: str | int = 0
    rollback: str = "wave"
    gate: str = ""
    gate_timeout: str | int = 60
    host_timeout: str | int = "30m"
    away_timeout: str | int = "2m"
    downgrade: bool = False
    shims: bool = False


class PlanFile(msgspec.Struct, forbid_unknown_fields=True, rename={"source": "from"}):
    """A plan's file."""

    source: str = ""
    services: list[str] = []
    on: list[str] = []
    nodes: list[str] = []
    waves: list[_Wave] = []
    policy: _Policy = msgspec.field(default_factory=_Policy)


def read(path: Path) -> PlanFile:
    """A plan's file; the directory in it is taken from where the file is. Raises PlanError."""
    try:
        plan = msgspec.convert(tomllib.loads(path.read_text()), PlanFile)
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PlanError(f"cannot use the plan {path}: {error}") from error
    if plan.source:
        plan.source = str(path.parent / plan.source)
    return plan


def body(plan: PlanFile, release: str) -> dict[str, Any]:
    """The request that begins it. Raises PlanError."""
    policy = plan.policy
    waves = [{"Hosts": each.hosts, "Percent": each.percent, "Labels": each.on} for each in plan.waves]
    return {
        "Release": release,
        "Services": plan.services,
        "Nodes": plan.nodes,
        "On": plan.on,
        **({"Waves": waves} if waves else {}),
        "Policy": {
            "MaxUnavailable": policy.max_unavailable,
            "PauseBetween": duration(policy.pause_between),
            "Rollback": policy.rollback,
            "Gate": policy.gate,
            "GateSeconds": duration(policy.gate_timeout),
            "HostSeconds": duration(policy.host_timeout),
            "AwaySeconds": duration(policy.away_timeout),
            "Downgrade": policy.downgrade,
            "Shims": policy.shims,
        },
    }


def sized(canary: int | None, batch: str | None) -> list[_Wave]:
    """The waves of `--canary` and `--batch`. Raises PlanError."""
    found = [_Wave(hosts=canary)] if canary else []
    if batch:
        size = wave(batch)
        found.append(_Wave(hosts=size.get("Hosts", 0), percent=size.get("Percent", 0)))
    elif found:
        found.append(_Wave(percent=25))
    return found
