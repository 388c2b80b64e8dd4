"""What is in which package: the one table of it.

A package is one service in a virtual environment of its own, with the units, settings and links that belong to it.
None depends on another, so that they install in any order; the metapackage `seaway` asks for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """One service as a package. `project` and the sources in `files` are paths in the checkout."""

    service: str
    project: str
    summary: str
    description: str
    extra: str = ""
    """The extra of the project whose requirements are installed, too."""
    unit: str = ""
    """What an upgrade restarts, once `units` are in place."""
    units: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    """The units that an installation enables."""
    files: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    """What a purge removes below /var/lib/seaway."""
    user: str = ""
    """What a purge removes from the users."""

    def programs(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Links to the service's programs, from where people's shells find them."""
        place = "bin" if self.service == "cli" else "sbin"
        return [(f"/opt/seaway/{self.service}/current/bin/{name}", f"usr/{place}/{name}") for name in names]

    @property
    def selftest(self) -> str:
        """What says, by its exit code, whether the version in $home/$version works on this host."""
        programs = "$home/$version/bin"
        match self.service:
            case "bus":
                return f'"{programs}/seaway-bus" permissions >/dev/null && "{programs}/nats-server" --version'
            case "cli":
                return f'"{programs}/seaway" --version'
        return f'"{programs}/{self.name}" --selftest --config /etc/seaway/{self.service}.toml'

    @property
    def name(self) -> str:
        """The package's name."""
        return f"seaway-{self.service}"


def _settings(service: str) -> tuple[str, str]:
    return (f"packaging/settings/{service}.toml", f"etc/seaway/{service}.toml")


PACKAGES = (
    Package(
        service="bus",
        project="libs/bus",
        extra="server",
        summary="message bus of the Seaway container engine",
        description="nats-server with JetStream on loopback, with keys, credentials and permissions of its own.",
        unit="seaway-bus.service",
        units=("seaway-bus.service", "seaway.target", "seaway.slice"),
        enabled=("seaway.target",),
        files=(
            ("systemd/sysusers.d/seaway.conf", "usr/lib/sysusers.d/seaway.conf"),
            ("systemd/tmpfiles.d/seaway.conf", "usr/lib/tmpfiles.d/seaway.conf"),
        ),
        state=("bus",),
        user="seaway-bus",
    ),
    Package(
        service="network",
        project="services/network",
        summary="container networks of the Seaway container engine",
        description="Bridges, addresses, published ports and name service of containers.",
        unit="seaway-network.service",
        units=("seaway-network.service",),
        files=(_settings("network"),),
        depends=("nftables", "iproute2"),
        state=("network",),
    ),
    Package(
        service="runtime",
        project="services/runtime",
        summary="OCI runtime of the Seaway container engine",
        description="Turns OCI bundles into launch plans; also an OCI command line for other engines.",
        unit="seaway-runtime.service",
        units=("seaway-runtime.service",),
        files=(_settings("runtime"),),
        depends=("libseccomp2",),
    ),
    Package(
        service="shim",
        project="services/shim",
        summary="containers' parents of the Seaway container engine",
        description="One process per container that keeps its output, its exit status and its restart policy.",
        unit="seaway-shim.service",
        units=("seaway-shim.service", "seaway-containers.service"),
        files=(_settings("shim"),),
        recommends=("tini",),  # docker run --init
    ),
    Package(
        service="supervisor",
        project="services/supervisor",
        summary="images, volumes and containers of the Seaway container engine",
        description="The one source of truth on a host.",
        unit="seaway-supervisor.service",
        units=("seaway-supervisor.service",),
        files=(_settings("supervisor"),),
        state=("supervisor", "images", "containers", "volumes"),
    ),
    Package(
        service="daemon",
        project="services/daemon",
        summary="Docker Engine HTTP API of the Seaway container engine",
        description="What docker, docker-py and compose talk to.",
        unit="seaway-daemon.service",
        units=("seaway-daemon.service", "seaway-daemon.socket", "seaway-daemon-metrics.socket"),
        enabled=("seaway-daemon.socket", "seaway-daemon-metrics.socket"),
        files=(_settings("daemon"),),
        user="seaway",
    ),
    Package(
        service="fleet",
        project="services/fleet",
        summary="presence in a fleet of the Seaway container engine",
        description="Joining a fleet of hosts, being seen and asked there, and being upgraded in waves.",
        unit="seaway-fleet.service",
        units=("seaway-fleet.service", "seaway-hub.service", "seaway-hub.path"),
        files=(_settings("fleet"),),
        state=("fleet", "fleet.new", "hub", "hub.old"),
    ),
    Package(
        service="cli",
        project="services/cli",
        summary="command line of the Seaway container engine",
        description="The everyday verbs, over the engine's HTTP API.",
    ),
)

META = "seaway"
"""The package that asks for all of them."""

OPTIONAL = ("fleet",)
"""The services that a host can do without."""
