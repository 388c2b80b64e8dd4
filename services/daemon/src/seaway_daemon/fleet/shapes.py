"""Hosts, containers and images of a fleet as JSON objects: Docker's fields, and the node they are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import field
from seaway_protocol.fleet import ContainerBrief, Host, HostUsage, ImageBrief, Seen
from seaway_protocol.types import ContainerState, ExitStatus, Health

from seaway_daemon.api.operation import Shape
from seaway_daemon.shapes.state import status_line
from seaway_daemon.times import SECOND


class Partial(Shape):
    """An answer of many hosts. `Missing` are those that didn't answer in time, `Errors` why some refused."""

    missing: tuple[str, ...] = ()
    errors: Mapping[str, str] = {}


class FleetHost(Shape):
    """A host. `State` is ready or draining as it says itself, silent where it didn't answer, lost where its lease ran
    out; then the rest is what it said last, at `SeenAt`. Times are Unix seconds, memory bytes.
    """

    node: str
    state: str
    address: str
    role: str
    hub: bool
    labels: dict[str, str]
    versions: dict[str, str]
    protocol: str
    kernel: str
    system: str
    architecture: str
    cpus: int
    memory: int
    memory_available: int
    load: float
    since: int
    seen_at: int
    running: int
    paused: int
    stopped: int
    unhealthy: int
    images: int


class FleetHosts(Partial):
    """Hosts, by name."""

    items: tuple[FleetHost, ...] = ()


class FleetPort(Shape, gc=False):
    """A container's port; `PublicPort` and `IP` where it is published."""

    private_port: int
    public_port: int = 0
    type: str = "tcp"
    ip: str = field(name="IP", default="")


class FleetContainer(Shape, gc=False):
    """A container, in the words of `GET /containers/json`, and its node. `Addresses` are by network."""

    node: str
    id: str
    names: tuple[str, ...]
    image: str
    image_id: str = field(name="ImageID")
    command: str
    created: int
    state: str
    status: str
    health: str
    ports: tuple[FleetPort, ...]
    labels: dict[str, str]
    addresses: dict[str, str]


class FleetContainers(Partial):
    """Containers by host, newest first on each."""

    items: tuple[FleetContainer, ...] = ()


class FleetImage(Shape):
    """An image, and the nodes that have it. `Containers` are those made of it on all of them."""

    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    created: int
    size: int
    containers: int
    nodes: tuple[str, ...]


class FleetImages(Partial):
    """Images, newest first."""

    items: tuple[FleetImage, ...] = ()


class FleetUsage(Shape):
    """What one host's disk is used for: bytes, and how many of each."""

    node: str
    images: int = 0
    image_bytes: int = 0
    containers: int = 0
    container_bytes: int = 0
    volumes: int = 0
    volume_bytes: int = 0
    disk_bytes: int = 0
    disk_free: int = 0


class FleetUsages(Partial):
    """Usage by host, and all of it together under the node ""."""

    items: tuple[FleetUsage, ...] = ()
    total: FleetUsage = FleetUsage(node="")


def host(given: Host, *, state: str = "", seen_at: int = 0) -> FleetHost:
    """A host as it says of itself; `state` is what we know better."""
    return FleetHost(
        node=given.node,
        state=state or given.state,
        address=given.address,
        role=given.role,
        hub=given.hub,
        labels=given.labels,
        versions=given.versions.services,
        protocol=given.versions.protocol,
        kernel=given.kernel,
        system=given.system,
        architecture=given.architecture,
        cpus=given.cpus,
        memory=given.memory,
        memory_available=given.memory_available,
        load=given.load / 1000,
        since=given.since // SECOND,
        seen_at=seen_at // SECOND,
        running=given.running,
        paused=given.paused,
        stopped=given.stopped,
        unhealthy=given.unhealthy,
        images=given.images,
    )


def absent(seen: Seen) -> FleetHost:
    """A host that didn't answer, as the fleet remembers it."""
    return host(seen.host, state="lost" if seen.lost else "silent", seen_at=seen.at)


def container(given: ContainerBrief, node: str, now: int) -> FleetContainer:
    """One element of `GET /fleet/containers`."""
    return FleetContainer(
        node=node,
        id=given.id,
        names=(f"/{given.name}",),
        image=given.image,
        image_id=given.image_id,
        command=given.command,
        created=given.created_at // SECOND,
        state=given.status,
        status=status_line(_state(given), now),
        health=given.health,
        ports=_ports(given),
        labels=given.labels,
        addresses=given.addresses,
    )


def _ports(given: ContainerBrief) -> tuple[FleetPort, ...]:
    """Those published, then those only exposed."""
    published = [
        FleetPort(
            private_port=each.port,
            public_port=each.host_port,
            type=each.protocol,
            ip=each.host_address or "0.0.0.0",
        )
        for each in given.ports
    ]
    bound = {f"{each.port}/{each.protocol}" for each in given.ports}
    return (*published, *(_exposed(each) for each in given.exposed if each not in bound))


def _exposed(port: str) -> FleetPort:
    number, _, protocol = port.partition("/")
    return FleetPort(private_port=int(number), type=protocol)


def _state(given: ContainerBrief) -> ContainerState:
    return ContainerState(
        status=given.status,
        exit=ExitStatus(code=given.exit_code),
        started_at=given.started_at,
        finished_at=given.finished_at,
        health=Health(status=given.health) if given.health else None,
    )


def images(given: Mapping[str, Iterable[ImageBrief]]) -> tuple[FleetImage, ...]:
    """Every image once, newest first, with the names it has anywhere."""
    places: dict[str, list[tuple[str, ImageBrief]]] = {}
    for node, of_host in given.items():
        for each in of_host:
            places.setdefault(each.id, []).append((node, each))
    merged = [_image(id, copies) for id, copies in places.items()]
    return tuple(sorted(merged, key=lambda each: -each.created))


def _image(id: str, copies: list[tuple[str, ImageBrief]]) -> FleetImage:
    return FleetImage(
        id=id,
        repo_tags=_together(each.tags for _, each in copies),
        repo_digests=_together(each.digests for _, each in copies),
        created=copies[0][1].created_at // SECOND,
        size=max(each.size for _, each in copies),
        containers=sum(each.containers for _, each in copies),
        nodes=tuple(node for node, _ in copies),
    )


def _together(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in names for name in each))


_COUNTED = (
    *("images", "image_bytes", "containers", "container_bytes"),
    *("volumes", "volume_bytes", "disk_bytes", "disk_free"),
)


def usage(given: HostUsage) -> FleetUsage:
    """One element of `GET /fleet/df`."""
    return FleetUsage(node=given.node, **{name: getattr(given, name) for name in _COUNTED})


def total(given: Iterable[FleetUsage]) -> FleetUsage:
    """All hosts together."""
    given = tuple(given)
    return FleetUsage(node="", **{name: sum(getattr(each, name) for each in given) for name in _COUNTED})
