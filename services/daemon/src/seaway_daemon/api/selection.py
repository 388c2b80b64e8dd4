"""Which containers `docker ps` lists: its filters, in one pure function. Source: docker ps(1), "Filtering"."""

from __future__ import annotations

from collections.abc import Iterable

from seaway_protocol.errors import InvalidArgument, NotFound, Unsupported
from seaway_protocol.types import Container, Image

from seaway_daemon.api.filters import Filters
from seaway_daemon.shapes.addresses import networks
from seaway_daemon.translate.network import exposed_ports

LIST_FILTERS = (
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
)

STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
"""What a container can be."""

_HEALTH = ("starting", "healthy", "unhealthy", "none")


def select(
    containers: list[Container],
    filters: Filters,
    *,
    everything: bool = False,
    limit: int = 0,
    images: Iterable[Image] = (),
) -> list[Container]:
    """The containers that `docker ps` shows, newest first.

    Without `everything`, a limit, or a filter that implies it, only those that run. `images` are needed for the
    filter `ancestor` alone.
    """
    statuses = filters.one_of("status", STATUSES)
    filters.one_of("health", _HEALTH)
    if filters.values_of("isolation") not in ((), ("default",), ("",)):
        raise Unsupported("containers have no isolation to filter by on Linux")
    stopped_too = everything or limit > 0 or any(name in filters for name in ("before", "since", "exited"))
    chosen = [c for c in _between(containers, filters) if statuses or stopped_too or _runs(c)]
    ancestors = _descendants(filters, images)
    chosen = [c for c in chosen if _matches(c, filters) and (ancestors is None or c.image_id in ancestors)]
    return chosen[:limit] if limit > 0 else chosen


def _runs(container: Container) -> bool:
    return container.state.status in ("running", "paused", "restarting")


def _between(containers: list[Container], filters: Filters) -> list[Container]:
    """Those created before and after others that the filters name."""
    for value in filters.values_of("before"):
        limit = _find(containers, value).created_at
        containers = [c for c in containers if c.created_at < limit]
    for value in filters.values_of("since"):
        limit = _find(containers, value).created_at
        containers = [c for c in containers if c.created_at > limit]
    return containers


def _find(containers: list[Container], reference: str) -> Container:
    for container in containers:
        if container.name == reference.removeprefix("/") or (reference and container.id.startswith(reference)):
            return container
    raise NotFound(f"No such container: {reference}")


def _matches(container: Container, filters: Filters) -> bool:
    exit_code = container.state.exit.code if container.state.exit else 0
    has_exited = container.state.status in ("exited", "dead")
    health = container.state.health.status if container.state.health else "none"
    exited = filters.numbers("exited")
    return (
        filters.prefixed("id", container.id)
        and filters.any("name", lambda value: filters_name(value, container.name))
        and filters.exact("status", container.state.status)
        and (not exited or (has_exited and exit_code in exited))
        and filters.exact("health", health)
        and filters.labelled(container.labels)
        and not (filters.flag("is-task") or False)
        and filters.any("network", lambda value: _on_network(container, value))
        and filters.any("volume", lambda value: any(value in (m.volume, m.target) for m in container.mounts))
        and filters.any("publish", lambda value: not _ports(value).isdisjoint(_published(container)))
        and filters.any("expose", lambda value: not _ports(value).isdisjoint(_exposed(container)))
    )


def filters_name(pattern: str, name: str) -> bool:
    """Names match as patterns, with and without the slash that Docker puts before them."""
    asked = Filters({"name": (pattern,)})
    return asked.named("name", f"/{name}") or asked.named("name", name)


def _on_network(container: Container, value: str) -> bool:
    return any(value in (name, each["NetworkID"]) for name, each in networks(container).items())


def _ports(value: str) -> set[str]:
    return set(exposed_ports(value))


def _published(container: Container) -> set[str]:
    return {f"{port.port}/{port.protocol}" for port in container.spec.network.ports}


def _exposed(container: Container) -> set[str]:
    return set(container.exposed) | _published(container)


def _descendants(filters: Filters, images: Iterable[Image]) -> set[str] | None:
    """The ids of the images that are, or are made from, those the filter names; None without the filter."""
    wanted = filters.values_of("ancestor")
    if not wanted:
        return None
    images = list(images)
    found: set[str] = set()
    for value in wanted:
        for ancestor in (each for each in images if _named(each, value)):
            depth = len(ancestor.layers)
            found |= {each.id for each in images if each.layers[:depth] == ancestor.layers} if depth else {ancestor.id}
    return found


def _named(image: Image, value: str) -> bool:
    if not value:
        raise InvalidArgument("invalid filter 'ancestor='")
    bare = value.removeprefix("sha256:")
    tagged = value if ":" in value.rpartition("/")[2] else f"{value}:latest"
    by_id = len(bare) >= 4 and image.id.removeprefix("sha256:").startswith(bare)
    return by_id or tagged in image.tags or value in image.digests
