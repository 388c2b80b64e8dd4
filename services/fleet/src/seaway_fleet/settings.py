"""The fleet service's settings."""

from __future__ import annotations

from pathlib import Path

from seaway_service import Settings
from seaway_service.values import AbsolutePath, OptionalPath, Seconds


class FleetSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of `/etc/seaway/fleet.toml`."""

    engine_socket: OptionalPath = ""
    """This host's Engine API; empty means `<run_dir>/engine.sock`."""

    labels: dict[str, str] = {}
    """What this host is to be found by: `{region = "eu", disk = "fast"}`."""

    observer: OptionalPath = ""
    """The credentials with which versions are asked for; empty means `<state_dir>/bus/credentials/observer.creds`."""

    opt_dir: AbsolutePath = "/opt/seaway"
    """Where the services are installed."""

    credential_seconds: Seconds = 30 * 24 * 3600.0
    """For how long the credentials are good that this host issues while it leads; hosts renew them at half of it."""

    arrival_seconds: Seconds = 45.0
    """How long this host's bus may take to reach the hub when it joins; then the joining is undone."""

    def engine(self) -> Path:
        """Where this host's Engine API listens."""
        return Path(self.engine_socket or Path(self.run_dir) / "engine.sock")

    def observer_credentials(self) -> Path:
        """The credentials of who may ask all services for their versions."""
        return Path(self.observer or Path(self.state_dir) / "bus/credentials/observer.creds")

    def directory(self) -> Path:
        """What this host keeps of its place in the fleet."""
        return Path(self.state_dir) / "fleet"

    def bus_directory(self) -> Path:
        """The configuration of this host's bus."""
        return Path(self.state_dir) / "bus"

    def hub_directory(self) -> Path:
        """The configuration, keys and memory of the hub, where this host runs one."""
        return Path(self.state_dir) / "hub"
