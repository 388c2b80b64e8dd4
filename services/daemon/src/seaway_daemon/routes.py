"""The Engine API as one table: every operation of API 1.56's description, who may use it, and what answers it.

`read` may be given to clients that only look; `write` changes something, opens a process's streams or gives out
whole files; `admin` is the host's own business. Names in braces
are one path segment, an image's name may contain slashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from seaway_daemon.api import (
    archive,
    attach,
    containers,
    events,
    exec,
    images,
    lifecycle,
    logs,
    networks,
    seaway,
    stats,
    system,
    volumes,
)
from seaway_daemon.api.refused import no_plugins, no_swarm, not_in_swarm, unsupported
from seaway_daemon.api.route import Route
from seaway_daemon.fleet import events as fleet_events
from seaway_daemon.fleet import logs as fleet_logs
from seaway_daemon.fleet import membership, openapi, seeing, targets, upgrades
from seaway_daemon.ui import pages

ROUTES: tuple[Route, ...] = (
    # --- containers --------------------------------------------------------------------------------------------------
    Route("GET", "/containers/json", containers.list_, "read"),
    Route("POST", "/containers/create", containers.create, "write"),
    Route("GET", "/containers/{name}/json", containers.inspect, "read"),
    Route("GET", "/containers/{name}/top", containers.top, "read"),
    Route("GET", "/containers/{name}/logs", logs.logs, "read"),
    Route("GET", "/containers/{name}/changes", archive.changes, "read"),
    Route("GET", "/containers/{name}/export", archive.export, "write"),
    Route("GET", "/containers/{name}/stats", stats.stats, "read"),
    Route("POST", "/containers/{name}/resize", attach.resize, "write"),
    Route("POST", "/containers/{name}/start", lifecycle.start, "write"),
    Route("POST", "/containers/{name}/stop", lifecycle.stop, "write"),
    Route("POST", "/containers/{name}/restart", lifecycle.restart, "write"),
    Route("POST", "/containers/{name}/kill", lifecycle.kill, "write"),
    Route("POST", "/containers/{name}/update", containers.update, "write"),
    Route("POST", "/containers/{name}/rename", containers.rename, "write"),
    Route("POST", "/containers/{name}/pause", lifecycle.pause, "write"),
    Route("POST", "/containers/{name}/unpause", lifecycle.unpause, "write"),
    Route("POST", "/containers/{name}/attach", attach.attach, "write"),
    Route("GET", "/containers/{name}/attach/ws", unsupported("attaching over a WebSocket"), "write"),
    Route("POST", "/containers/{name}/wait", lifecycle.wait, "read"),
    Route("DELETE", "/containers/{name}", containers.remove, "write"),
    Route("HEAD", "/containers/{name}/archive", archive.look, "write"),
    Route("GET", "/containers/{name}/archive", archive.get, "write"),
    Route("PUT", "/containers/{name}/archive", archive.put, "write"),
    Route("POST", "/containers/prune", containers.prune, "write"),
    # --- exec --------------------------------------------------------------------------------------------------------
    Route("POST", "/containers/{name}/exec", exec.create, "write"),
    Route("POST", "/exec/{name}/start", exec.start, "write"),
    Route("POST", "/exec/{name}/resize", exec.resize, "write"),
    Route("GET", "/exec/{name}/json", exec.inspect, "read"),
    # --- images and builds -------------------------------------------------------------------------------------------
    Route("GET", "/images/json", images.list_, "read"),
    Route("POST", "/build", unsupported("building images (docker build)"), "write"),
    Route("POST", "/build/prune", images.prune_builds, "write"),
    Route("POST", "/images/create", images.create, "write"),
    Route("GET", "/images/{name*}/json", images.inspect, "read"),
    Route("GET", "/images/{name*}/attestations", unsupported("listing an image's attestations"), "read"),
    Route("GET", "/images/{name*}/history", images.history, "read"),
    Route("POST", "/images/{name*}/push", unsupported("pushing images (docker push)"), "write"),
    Route("POST", "/images/{name*}/tag", images.tag, "write"),
    Route("GET", "/images/search", unsupported("searching a registry (docker search)"), "read"),
    Route("POST", "/images/prune", images.prune, "write"),
    Route("POST", "/commit", unsupported("making an image of a container (docker commit)"), "write"),
    Route("GET", "/images/get", images.save, "write"),
    Route("GET", "/images/{name*}/get", images.save_one, "write"),
    Route("POST", "/images/load", images.load, "write"),
    Route("DELETE", "/images/{name*}", images.remove, "write"),
    # --- networks ----------------------------------------------------------------------------------------------------
    Route("GET", "/networks", networks.list_, "read"),
    Route("GET", "/networks/", networks.list_, "read"),  # not in the description, but clients use it
    Route("GET", "/networks/{name}", networks.inspect, "read"),
    Route("DELETE", "/networks/{name}", networks.remove, "write"),
    Route("POST", "/networks/create", networks.create, "write"),
    Route("POST", "/networks/{name}/connect", networks.connect, "write"),
    Route("POST", "/networks/{name}/disconnect", networks.disconnect, "write"),
    Route("POST", "/networks/prune", networks.prune, "write"),
    # --- volumes -----------------------------------------------------------------------------------------------------
    Route("GET", "/volumes", volumes.list_, "read"),
    Route("POST", "/volumes/create", volumes.create, "write"),
    Route("GET", "/volumes/{name}", volumes.inspect, "read"),
    Route("PUT", "/volumes/{name}", no_swarm, "write"),
    Route("DELETE", "/volumes/{name}", volumes.remove, "write"),
    Route("POST", "/volumes/prune", volumes.prune, "write"),
    # --- the engine --------------------------------------------------------------------------------------------------
    Route("POST", "/auth", system.auth, "write"),
    Route("GET", "/info", system.info, "read"),
    Route("GET", "/version", system.version, "read"),
    Route("GET", "/_ping", system.ping, "read"),
    Route("HEAD", "/_ping", system.ping, "read"),
    Route("GET", "/events", events.events, "read"),
    Route("GET", "/system/df", system.disk_usage, "read"),
    Route("GET", "/distribution/{name*}/json", unsupported("looking at an image in a registry"), "read"),
    Route("POST", "/session", unsupported("BuildKit sessions (docker buildx with the docker driver)"), "write"),
    # --- plugins -----------------------------------------------------------------------------------------------------
    Route("GET", "/plugins", no_plugins, "read"),
    Route("GET", "/plugins/privileges", unsupported("plugins"), "read"),
    Route("POST", "/plugins/pull", unsupported("plugins"), "write"),
    Route("GET", "/plugins/{name*}/json", unsupported("plugins"), "read"),
    Route("DELETE", "/plugins/{name*}", unsupported("plugins"), "write"),
    Route("POST", "/plugins/{name*}/enable", unsupported("plugins"), "write"),
    Route("POST", "/plugins/{name*}/disable", unsupported("plugins"), "write"),
    Route("POST", "/plugins/{name*}/upgrade", unsupported("plugins"), "write"),
    Route("POST", "/plugins/create", unsupported("plugins"), "write"),
    Route("POST", "/plugins/{name*}/push", unsupported("plugins"), "write"),
    Route("POST", "/plugins/{name*}/set", unsupported("plugins"), "write"),
    # --- swarm -------------------------------------------------------------------------------------------------------
    Route("GET", "/swarm", no_swarm, "read"),
    Route("POST", "/swarm/init", unsupported("swarm mode (docker swarm init)"), "write"),
    Route("POST", "/swarm/join", unsupported("swarm mode (docker swarm join)"), "write"),
    Route("POST", "/swarm/leave", not_in_swarm, "write"),
    Route("POST", "/swarm/update", no_swarm, "write"),
    Route("GET", "/swarm/unlockkey", no_swarm, "read"),
    Route("POST", "/swarm/unlock", no_swarm, "write"),
    Route("GET", "/nodes", no_swarm, "read"),
    Route("GET", "/nodes/{name}", no_swarm, "read"),
    Route("DELETE", "/nodes/{name}", no_swarm, "write"),
    Route("POST", "/nodes/{name}/update", no_swarm, "write"),
    Route("GET", "/services", no_swarm, "read"),
    Route("POST", "/services/create", no_swarm, "write"),
    Route("GET", "/services/{name}", no_swarm, "read"),
    Route("DELETE", "/services/{name}", no_swarm, "write"),
    Route("POST", "/services/{name}/update", no_swarm, "write"),
    Route("GET", "/services/{name}/logs", no_swarm, "read"),
    Route("GET", "/tasks", no_swarm, "read"),
    Route("GET", "/tasks/{name}", no_swarm, "read"),
    Route("GET", "/tasks/{name}/logs", no_swarm, "read"),
    Route("GET", "/secrets", no_swarm, "read"),
    Route("POST", "/secrets/create", no_swarm, "write"),
    Route("GET", "/secrets/{name}", no_swarm, "read"),
    Route("DELETE", "/secrets/{name}", no_swarm, "write"),
    Route("POST", "/secrets/{name}/update", no_swarm, "write"),
    Route("GET", "/configs", no_swarm, "read"),
    Route("POST", "/configs/create", no_swarm, "write"),
    Route("GET", "/configs/{name}", no_swarm, "read"),
    Route("DELETE", "/configs/{name}", no_swarm, "write"),
    Route("POST", "/configs/{name}/update", no_swarm, "write"),
    # --- Seaway's own ------------------------------------------------------------------------------------------------
    Route("GET", "/metrics", seaway.metrics, "read"),
    Route("GET", "/seaway/check", seaway.check, "read"),
    Route("POST", "/seaway/check", seaway.mend, "write"),
    Route("GET", "/seaway/audit", seaway.audit_, "admin"),
    Route("POST", "/seaway/shims/upgrade", seaway.upgrade_shims, "write"),
    # --- the fleet ---------------------------------------------------------------------------------------------------
    Route("GET", "/fleet", membership.membership, "read"),
    Route("POST", "/fleet/init", membership.init, "admin"),
    Route("POST", "/fleet/tokens", membership.new_token, "admin"),
    Route("POST", "/fleet/join", membership.join, "admin"),
    Route("POST", "/fleet/leave", membership.leave, "admin"),
    Route("POST", "/fleet/hosts/{name}/evict", membership.evict, "admin"),
    Route("GET", "/fleet/hosts", seeing.hosts, "read"),
    Route("GET", "/fleet/hosts/{name}", seeing.host, "read"),
    Route("GET", "/fleet/containers", seeing.containers, "read"),
    Route("GET", "/fleet/images", seeing.images, "read"),
    Route("GET", "/fleet/df", seeing.disk_usage, "read"),
    Route("GET", "/fleet/events", fleet_events.events, "read"),
    Route("GET", "/fleet/logs", fleet_logs.logs, "read"),
    Route("GET", "/fleet/targets", targets.targets, "read"),
    Route("GET", "/fleet/upgrades", upgrades.list_, "read"),
    Route("POST", "/fleet/upgrades", upgrades.create, "admin"),
    Route("GET", "/fleet/upgrades/{name}", upgrades.inspect, "read"),
    Route("POST", "/fleet/upgrades/{name}/pause", upgrades.pause, "admin"),
    Route("POST", "/fleet/upgrades/{name}/resume", upgrades.resume, "admin"),
    Route("POST", "/fleet/upgrades/{name}/abort", upgrades.abort, "admin"),
    Route("POST", "/fleet/upgrades/{name}/rollback", upgrades.rollback, "admin"),
    Route("GET", "/fleet/releases", upgrades.list_releases, "read"),
    Route("PUT", "/fleet/releases/{name}", upgrades.put_release, "admin"),
    Route("GET", "/fleet/packages/{name}", upgrades.has_package, "read"),
    Route("PUT", "/fleet/packages/{name}", upgrades.put_package, "admin"),
    Route("GET", "/fleet/openapi.json", openapi.describing(lambda: ROUTES), "read"),
    # --- the page ----------------------------------------------------------------------------------------------------
    Route("GET", "/ui", pages.beside, "read"),
    Route("GET", "/ui/", pages.index, "read"),
    Route("GET", "/ui/{name}", pages.file, "read"),
    # --- not in the description, but served by dockerd ---------------------------------------------------------------
    Route("POST", "/build/cancel", unsupported("building images (docker build)"), "write"),
    Route("POST", "/grpc", unsupported("BuildKit over /grpc (docker buildx with the docker driver)"), "write"),
    Route("GET", "/containers/{name}/checkpoints", unsupported("checkpoints"), "read"),
    Route("POST", "/containers/{name}/checkpoints", unsupported("checkpoints"), "write"),
    Route("DELETE", "/containers/{name}/checkpoints/{checkpoint}", unsupported("checkpoints"), "write"),
)


class Table:
    """Finds a request's route: plain paths at once, patterns among those of the same method and first segment."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._plain = {(each.method, each.path): each for each in routes if "{" not in each.path}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for each in routes:
            if "{" in each.path:
                key = each.method, each.path.split("/", 2)[1]
                self._patterns.setdefault(key, []).append((_pattern(each.path), each))

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route and the names in the path; None for a page that isn't there."""
        if route := self._plain.get((method, path)):
            return route, {}
        for pattern, route in self._patterns.get((method, _first(path)), ()):
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        return None

    def methods(self, path: str) -> Iterator[str]:
        """The methods a path has."""
        return (method for method in ("GET", "HEAD", "POST", "PUT", "DELETE") if self.find(method, path))


def _first(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _pattern(path: str) -> re.Pattern[str]:
    escaped = re.sub(r"\\\{(\w+)(\\\*)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", re.escape(path))
    return re.compile(escaped)
