"""Upgrades in waves over HTTP: `/fleet/upgrades`, and what they bring: `/fleet/packages`, `/fleet/releases`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from seaway_protocol import releases, upgrades
from seaway_protocol.actor import Actor
from seaway_protocol.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.kinds import Call, Message
from seaway_protocol.memory import PACKAGES, PLANS
from seaway_protocol.upgrades import Decision, NewUpgrade, Plan, PlannedHost, Policy, Wave

from seaway_daemon.api.bodies import Body
from seaway_daemon.api.operation import Done, Operation, Parameter, Shape, operation
from seaway_daemon.api.request import Request, json
from seaway_daemon.fleet.asking import controller
from seaway_daemon.fleet.parameters import REFUSALS

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIECE = 128 * 1024
_SECOND = 1_000_000_000
_LEADING = 1.0
"""Seconds for which a leader is waited for whose service is just being replaced."""

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


# --- what is said and asked ------------------------------------------------------------------------------------------


class UpgradeWave(Body):
    """So many hosts, or a percentage of all that are meant; with labels such hosts alone; with neither all of them."""

    hosts: int = 0
    percent: int = 0
    labels: tuple[str, ...] = ()


class UpgradePolicy(Body):
    """How careful to be; the times are seconds. `Rollback` is wave, all or pause."""

    max_unavailable: int = 1
    pause_between: int = 0
    rollback: str = "wave"
    gate: str = ""
    gate_seconds: int = 60
    host_seconds: int = 1800
    away_seconds: int = 120
    downgrade: bool = False
    shims: bool = False


class UpgradeBody(Body):
    """An upgrade to a release that was published. The last wave is repeated until no host is left."""

    release: str = ""
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    waves: tuple[UpgradeWave, ...] = (UpgradeWave(hosts=1), UpgradeWave(percent=25))
    policy: UpgradePolicy = UpgradePolicy()


class UpgradeService(Shape):
    """What became of one service on a host."""

    service: str
    before: str
    after: str
    state: str
    says: str


class UpgradeHost(Shape):
    """A host in an upgrade. `State` is waiting, away, working, done, restoring, restored, stuck, lost or gone."""

    node: str
    wave: int
    state: str
    since: float
    attempt: int
    says: str
    services: tuple[UpgradeService, ...]
    before: dict[str, str]
    now: dict[str, str]
    kept: int
    restarted: tuple[str, ...]


class UpgradeEntry(Shape):
    """A line of an upgrade's history."""

    at: float
    what: str
    node: str
    by: str
    says: str


class Upgrade(Shape):
    """An upgrade. `State` is running, resting, paused, aborting, rolling back, done, aborted, rolled back or failed.

    `Wave` counts from 0; times are Unix seconds, 0 for never. In a list hosts and history are left out.
    """

    id: str
    release: str
    services: dict[str, str]
    state: str
    says: str
    wave: int
    waves: int
    rest_until: float
    leader: str
    by: str
    created_at: float
    ended_at: float
    hosts: tuple[UpgradeHost, ...]
    history: tuple[UpgradeEntry, ...]


class Upgrades(Shape):
    """Upgrades, newest first."""

    items: tuple[Upgrade, ...]


class ReleasePackage(Shape):
    """A package of a release; the digest is its SHA-256 in hexadecimal."""

    service: str
    version: str
    name: str
    size: int
    digest: str


class Release(Shape):
    """What was published together. Nothing of it is proved here: each host checks the signature."""

    id: str
    serial: int
    packages: tuple[ReleasePackage, ...]


class Releases(Shape):
    """Releases, newest first."""

    items: tuple[Release, ...]


def shown(plan: Plan) -> Upgrade:
    """A plan as JSON."""
    return Upgrade(
        id=plan.id,
        release=plan.release,
        services=plan.services,
        state=plan.state,
        says=plan.says,
        wave=plan.wave,
        waves=plan.waves,
        rest_until=plan.rest_until / _SECOND,
        leader=plan.leader,
        by=plan.by,
        created_at=plan.created_at / _SECOND,
        ended_at=plan.ended_at / _SECOND,
        hosts=tuple(_host(each) for each in plan.hosts),
        history=tuple(
            UpgradeEntry(at=each.at / _SECOND, what=each.what, node=each.node, by=each.by, says=each.says)
            for each in plan.history
        ),
    )


def _host(host: PlannedHost) -> UpgradeHost:
    said: dict[str, Any] = msgspec.structs.asdict(host)
    said["since"] = host.since / _SECOND
    said["services"] = tuple(UpgradeService(**msgspec.structs.asdict(each)) for each in host.services)
    return UpgradeHost(**said)


# --- upgrades --------------------------------------------------------------------------------------------------------


@operation("List the upgrades of the fleet", answer=Upgrades, refusals=REFUSALS)
async def list_(request: Request) -> web.StreamResponse:
    """`GET /fleet/upgrades`."""
    found = upgrades.newest_first(await _plans(request))
    brief = [msgspec.structs.replace(plan, hosts=(), history=()) for plan in found]
    return json(Upgrades(items=tuple(shown(each) for each in brief)))


@operation("Show an upgrade", answer=Upgrade, refusals=(404, *REFUSALS))
async def inspect(request: Request) -> web.StreamResponse:
    """`GET /fleet/upgrades/{name}`."""
    return json(shown(upgrades.named(await _plans(request), request.name)))


@operation(
    "Begin an upgrade",
    answer=Upgrade,
    body=UpgradeBody,
    query=(Parameter("dryRun", "only show the plan", "boolean"),),
    status=201,
    refusals=(404, *REFUSALS),
)
async def create(request: Request) -> web.StreamResponse:
    """`POST /fleet/upgrades`."""
    body = await request.body(UpgradeBody)
    asked = NewUpgrade(
        release=body.release,
        services=body.services,
        nodes=body.nodes,
        labels=tuple(each.removeprefix("label=") for each in body.on),
        waves=tuple(Wave(hosts=each.hosts, percent=each.percent, labels=each.labels) for each in body.waves),
        policy=Policy(**msgspec.structs.asdict(body.policy)),
        by=who(request),
        dry_run=request.query.flag("dryRun"),
    )
    return json(shown(await _lead(request, upgrades.upgrade_create, asked)), status=201)


def _deciding(summary: str, call: Call[Decision, Plan]) -> Operation:
    @operation(summary, answer=Upgrade, refusals=(404, *REFUSALS))
    async def decide(request: Request) -> web.StreamResponse:
        return json(shown(await _lead(request, call, Decision(id=request.name, by=who(request)))))

    return decide


pause = _deciding("Begin no more hosts of an upgrade for now", upgrades.upgrade_pause)
resume = _deciding("Go on with an upgrade, also with the hosts that failed", upgrades.upgrade_resume)
abort = _deciding("End an upgrade where it is", upgrades.upgrade_abort)
rollback = _deciding("Take every host of an upgrade back", upgrades.upgrade_rollback)


def who(request: Request) -> str:
    """Who asks, for the history: a name, and the host whose daemon knows it."""
    actor: Actor = request.actor
    return f"{actor.name or 'somebody'}@{actor.node or request.engine.bus.node}"


async def _plans(request: Request) -> list[Plan]:
    """The plans that the fleet remembers, whoever leads. Raises Conflict in no fleet."""
    await controller(request.engine)
    return [each.value for each in await request.engine.bus.bucket(PLANS).entries() if each.value]


async def _lead(request: Request, call: Call[Q, R], question: Q) -> R:
    """Ask the fleet's leader. Raises Conflict in no fleet, Unavailable while nobody leads."""
    await controller(request.engine)
    try:
        return await request.engine.bus.call(call, question, patience=_LEADING)
    except Unavailable as error:
        if "isn't running" not in error.text:
            raise
        text = f"cannot {call.doc}: nobody leads the fleet now; try again in a few seconds"
        raise Unavailable(text, origin=error.origin) from None


# --- what they bring -------------------------------------------------------------------------------------------------


@operation("List what was published", answer=Releases, refusals=REFUSALS)
async def list_releases(request: Request) -> web.StreamResponse:
    """`GET /fleet/releases`."""
    await controller(request.engine)
    store = request.engine.bus.store(PACKAGES)
    names = [each.name for each in await store.list() if each.name.startswith(releases.release_object(""))]
    found = []
    for name in names:
        text = b"".join([piece async for piece in store.get(name)])
        manifest = releases.manifest(releases.parse(text).body)
        packages = tuple(ReleasePackage(**msgspec.structs.asdict(each)) for each in manifest.packages)
        found.append(Release(id=manifest.id, serial=manifest.serial, packages=packages))
    return json(Releases(items=tuple(sorted(found, key=lambda each: each.serial, reverse=True))))


@operation("See whether a package was published", answer=Done, refusals=(404, *REFUSALS))
async def has_package(request: Request) -> web.StreamResponse:
    """`GET /fleet/packages/{name}`: the name is its SHA-256 in hexadecimal."""
    await controller(request.engine)
    if not await _published(request, releases.package_object(_digest(request))):
        raise NotFound(f"no such package was published: {request.name}")
    return json(Done())


@operation("Publish a package", answer=Done, status=201, refusals=REFUSALS)
async def put_package(request: Request) -> web.StreamResponse:
    """`PUT /fleet/packages/{name}`: its bytes. Refused where they haven't the digest that they are named by."""
    digest = _digest(request)
    await _hub(request)
    store = request.engine.bus.store(PACKAGES)
    name = releases.package_object(digest)
    if not await _published(request, name):
        found = await store.put(name, _pieces(request))
        if found.removeprefix("sha256:") != digest:
            await store.delete(name)
            raise InvalidArgument(f"cannot publish the package: its digest is {found}, and not {digest}; send it again")
    return json(Done(), status=201)


@operation("Publish a release", answer=Release, status=201, refusals=REFUSALS)
async def put_release(request: Request) -> web.StreamResponse:
    """`PUT /fleet/releases/{name}`: its signed manifest. Refused before all its packages are there."""
    await _hub(request)
    text = b"".join([piece async for piece in _pieces(request)])
    manifest = releases.manifest(releases.parse(text).body)
    if manifest.id != request.name:
        raise InvalidArgument(f"cannot publish the release {request.name}: its manifest is that of {manifest.id}")
    store = request.engine.bus.store(PACKAGES)
    for package in manifest.packages:
        if not await _published(request, releases.package_object(package.digest)):
            raise InvalidArgument(f"cannot publish the release {manifest.id}: send {package.name} first")

    async def whole() -> AsyncIterator[bytes]:
        yield text

    await store.put(releases.release_object(manifest.id), whole())
    packages = tuple(ReleasePackage(**msgspec.structs.asdict(each)) for each in manifest.packages)
    return json(Release(id=manifest.id, serial=manifest.serial, packages=packages), status=201)


async def _hub(request: Request) -> None:
    """Raises PermissionDenied where this host doesn't keep the fleet's memory."""
    place = await controller(request.engine)
    if not place.hub:
        hubs = ", ".join(each.rpartition(":")[0] for each in place.addresses)
        raise PermissionDenied(f"cannot publish here: {place.node} isn't one of the fleet's hubs; do it on {hubs}")


async def _published(request: Request, name: str) -> bool:
    try:
        await request.engine.bus.store(PACKAGES).info(name)
    except NotFound:
        return False
    return True


def _digest(request: Request) -> str:
    if not _DIGEST.fullmatch(request.name):
        raise InvalidArgument(f"cannot take the package: {request.name!r} isn't a SHA-256 in hexadecimal")
    return request.name


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.http.content.iter_chunked(_PIECE):
        yield piece
