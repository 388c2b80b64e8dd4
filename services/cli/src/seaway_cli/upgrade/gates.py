"""What must be so after a service was replaced, or it is taken back: each gate says what is wrong, or nothing."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Any

from seaway_cli.doctor import engine as doctor
from seaway_cli.doctor.facts import Host
from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.stack.layout import Layout

_PATIENCE = 60.0
_PAUSE = 0.2
_KILLED = 137
"""128 and SIGKILL."""
SMOKE = "seaway-smoke:latest"
_PROGRAM = "/usr/bin/true"
_BINDS = ("/usr", "/bin", "/lib", "/lib64")


def unit_active(host: Host, service: str) -> str:
    """Its unit is ready, within a minute."""
    unit = f"seaway-{service}.service"
    deadline = time.monotonic() + _PATIENCE
    while (found := host.unit(unit)) and found.get("ActiveState") != "active":
        if found.get("ActiveState") == "failed" or time.monotonic() > deadline:
            return f"{unit} is {found.get('ActiveState')} ({found.get('Result')})"
        time.sleep(_PAUSE)
    return ""


def says_version(layout: Layout, engine: Engine, service: str, version: str) -> str:
    """It serves, and says that it is this version."""
    if service in ("bus", "cli"):
        return ""
    deadline = time.monotonic() + _PATIENCE
    while (found := _version(layout, engine, service)) != version:
        if time.monotonic() > deadline:
            return f"{service} doesn't serve" if not found else f"{service} says that it is version {found}"
        time.sleep(_PAUSE)
    return ""


def _version(layout: Layout, engine: Engine, service: str) -> str:
    if service == "daemon":
        return doctor.daemon_version(engine)
    try:
        members = doctor.members(layout)
    except doctor.BusAway:
        return ""
    return members[service].version if service in members else ""


def processes(engine: Engine) -> dict[str, int]:
    """The first process of each container that runs, but of those that end and begin again by themselves.

    Raises EngineError.
    """
    running = engine.ask("GET", "/containers/json", filters={"status": ["running", "paused"]})
    shown = [_inspected(engine, each["Id"]) for each in running]
    return {each["Id"]: each["State"]["Pid"] for each in shown if each and not _unsteady(each)}


def _inspected(engine: Engine, id: str) -> dict[str, Any] | None:
    """What the engine says of a container; None where somebody has removed it."""
    try:
        found: dict[str, Any] = engine.ask("GET", f"/containers/{id}/json")
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    return found


def _unsteady(container: dict[str, Any]) -> bool:
    """Whether it was restarted by its policy: it may be so again, and nobody is to blame."""
    return bool(container.get("RestartCount"))


def unharmed(engine: Engine, before: dict[str, int]) -> str:
    """Each container that ran has the process that it had, or has ended, but not by a kill that nobody asked for.

    A container that somebody kills meanwhile looks the same as one that was lost: then a good version is taken back.
    """
    try:
        for id, pid in before.items():
            state = (_inspected(engine, id) or {}).get("State")
            if state is None:
                continue
            if state["Running"] and state["Pid"] != pid:
                return f"container {id[:12]} was restarted: process {pid} is now {state['Pid']}"
            if not state["Running"] and state["ExitCode"] == _KILLED and not state.get("OOMKilled"):
                return f"container {id[:12]} was killed"
    except EngineError as error:
        return str(error)
    return ""


def container_runs(engine: Engine) -> str:
    """A container can be made, started, waited for and removed: the host's own `true` in an empty image."""
    engine = engine.within(_PATIENCE)
    try:
        engine.upload("/images/create", _empty(), "application/x-tar", fromSrc="-", repo=SMOKE)
        body = {
            "Image": SMOKE,
            "Cmd": [_PROGRAM],
            "HostConfig": {"Binds": [f"{path}:{path}:ro" for path in _BINDS if Path(path).exists()]},
        }
        id = engine.ask("POST", "/containers/create", body)["Id"]
        try:
            engine.ask("POST", f"/containers/{id}/start")
            code = engine.ask("POST", f"/containers/{id}/wait")["StatusCode"]
        finally:
            engine.ask("DELETE", f"/containers/{id}", force=True)
    except EngineError as error:
        return f"no container can be run: {error}"
    return f"{_PROGRAM} in a container ended with {code}" if code else ""


def _empty() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        directory = tarfile.TarInfo("tmp")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
        file.addfile(directory)
    return archive.getvalue()
