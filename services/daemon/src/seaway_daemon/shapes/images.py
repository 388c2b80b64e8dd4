"""Images as `docker images`, `docker image inspect` and `docker history` show them."""

from __future__ import annotations

from typing import Any

import msgspec
from seaway_protocol.types import Image, ImageHistory

from seaway_daemon.shapes.defaults import EMPTY_CONFIG
from seaway_daemon.times import SECOND, rfc3339
from seaway_daemon.version import ApiVersion

_WITHOUT_VIRTUAL_SIZE = ApiVersion(1, 44)


def document(image: Image) -> dict[str, Any]:
    """The image configuration; empty where it can't be read."""
    try:
        found = msgspec.json.decode(image.config)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def labels(image: Image) -> dict[str, str]:
    """The image's labels."""
    return (document(image).get("config") or {}).get("Labels") or {}


def summary(image: Image, version: ApiVersion) -> dict[str, Any]:
    """One element of `GET /images/json`."""
    shape = {
        "Containers": image.containers,
        "Created": image.created_at // SECOND,
        "Id": image.id,
        "Labels": labels(image) or None,
        "ParentId": image.parent,
        "RepoDigests": list(image.digests),
        "RepoTags": list(image.tags),
        "SharedSize": image.shared_size,
        "Size": image.size,
    }
    return shape | ({"VirtualSize": image.size} if version < _WITHOUT_VIRTUAL_SIZE else {})


def inspected(image: Image, version: ApiVersion) -> dict[str, Any]:
    """The answer of `GET /images/{name}/json`."""
    found = document(image)
    history = found.get("history") or [{}]
    shape: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": history[-1].get("comment", ""),
        "Created": rfc3339(image.created_at),
        "DockerVersion": found.get("docker_version", ""),
        "Author": image.author,
        "Config": {**EMPTY_CONFIG, **(found.get("config") or {})},
        # Gone from the description since 1.45, but docker-compose 1.29 speaks our newest version and reads it.
        "Container": "",
        "ContainerConfig": EMPTY_CONFIG,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": None, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Metadata": {"LastTagTime": rfc3339(image.tagged_at)},
    }
    if image.variant:
        shape["Variant"] = image.variant
    if version < _WITHOUT_VIRTUAL_SIZE:
        shape["VirtualSize"] = image.size
    return shape


def history(image: Image) -> list[dict[str, Any]]:
    """The answer of `GET /images/{name}/history`, newest first."""
    return [_step(each, image, first=number == 0) for number, each in enumerate(reversed(image.history))]


def _step(step: ImageHistory, image: Image, *, first: bool) -> dict[str, Any]:
    return {
        "Id": image.id if first else "<missing>",
        "Created": step.created_at // SECOND,
        "CreatedBy": step.created_by,
        "Tags": (list(image.tags) or None) if first else None,
        "Size": step.size,
        "Comment": step.comment,
    }


def removed(untagged: tuple[str, ...], deleted: tuple[str, ...]) -> list[dict[str, str]]:
    """The answer of `DELETE /images/{name}`."""
    return [*({"Untagged": each} for each in untagged), *({"Deleted": each} for each in deleted)]
