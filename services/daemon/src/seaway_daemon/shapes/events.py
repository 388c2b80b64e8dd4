"""What happens, in the words of `docker events`. Source: Engine API reference, "Monitor events"."""

from __future__ import annotations

from typing import Any

from seaway_bus import Occurrence
from seaway_protocol.network import NetworkHappened
from seaway_protocol.supervisor import ContainerHappened, ImageHappened, VolumeHappened

from seaway_daemon.times import SECOND

ACTIONS = {
    "container.created": "create",
    "container.attached": "attach",
    "container.started": "start",
    "container.killed": "kill",
    "container.stopped": "stop",
    "container.exited": "die",
    "container.restarted": "restart",
    "container.paused": "pause",
    "container.unpaused": "unpause",
    "container.renamed": "rename",
    "container.updated": "update",
    "container.oom": "oom",
    "container.health": "health_status",
    "container.resized": "resize",
    "container.copied_out": "archive-path",
    "container.copied_in": "extract-to-dir",
    "container.exported": "export",
    "container.removed": "destroy",
    "container.exec_created": "exec_create",
    "container.exec_started": "exec_start",
    "container.exec_exited": "exec_die",
    "image.pulled": "pull",
    "image.loaded": "load",
    "image.imported": "import",
    "image.saved": "save",
    "image.tagged": "tag",
    "image.untagged": "untag",
    "image.deleted": "delete",
    "volume.created": "create",
    "volume.mounted": "mount",
    "volume.unmounted": "unmount",
    "volume.removed": "destroy",
    "network.created": "create",
    "network.connected": "connect",
    "network.disconnected": "disconnect",
    "network.removed": "destroy",
}
"""Docker's action for each event; an event newer than the table goes by its own name."""

_COMMANDS = frozenset(("exec_create", "exec_start"))

_NAMES = {"exec": "execID"}
"""Docker's names of attributes, where they differ."""


def event(given: Occurrence) -> dict[str, Any]:
    """One line of `GET /events`."""
    kind, _, name = given.event.name.partition(".")
    action = ACTIONS.get(given.event.name, name)
    attributes = _attributes(given)
    if kind == "container":
        action = _with_detail(action, attributes)
    nanoseconds = happened_at(given)
    shape: dict[str, Any] = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": given.id, "Attributes": attributes},
        "scope": "local",
        "time": nanoseconds // SECOND,
        "timeNano": nanoseconds,
    }
    if kind in ("container", "image"):
        shape = {"status": action, "id": given.id, **_origin(attributes, kind), **shape}
    return shape


_TIMED = ContainerHappened | ImageHappened | VolumeHappened | NetworkHappened


def happened_at(given: Occurrence) -> int:
    """When it happened, nanoseconds; when it was told, where the event doesn't say."""
    at = given.payload.at if isinstance(given.payload, _TIMED) else 0
    return at or round(given.time.timestamp() * 1_000_000) * 1000


def _origin(attributes: dict[str, str], kind: str) -> dict[str, str]:
    return {"from": attributes.get("image", "")} if kind == "container" else {}


def _with_detail(action: str, attributes: dict[str, str]) -> str:
    """Actions that carry their detail behind a colon: the command of an exec, the verdict of a health check."""
    if action in _COMMANDS:
        return f"{action}: {attributes.pop('command', '')}"
    if action == "health_status":
        return f"{action}: {attributes.pop('status', '')}"
    attributes.pop("command", None)
    return action


def _attributes(given: Occurrence) -> dict[str, str]:
    """The facts of an event, as Docker names them."""
    payload = given.payload
    if isinstance(payload, ContainerHappened):
        extra = {_NAMES.get(name, name): value for name, value in payload.attributes.items()}
        if payload.exit and "exitCode" not in extra:
            extra["exitCode"] = str(payload.exit.code)
        if "oldName" in extra:
            extra["oldName"] = "/" + extra["oldName"].removeprefix("/")
        return {**payload.labels, **extra, "image": payload.image, "name": payload.name}
    if isinstance(payload, ImageHappened):
        return {**payload.labels, "name": payload.name}
    if isinstance(payload, VolumeHappened):
        mounted = given.event.name == "volume.mounted"
        where = {"destination": payload.target, "propagation": "", "read/write": str(not payload.read_only).lower()}
        container = {"container": payload.container} if payload.container else {}
        return {"driver": payload.driver, **container, **(where if mounted else {})}
    if isinstance(payload, NetworkHappened):
        container = {"container": payload.container} if payload.container else {}
        return {"name": payload.name, "type": payload.driver, **container}
    return {}
