"""The fleet service's settings."""

from __future__ import annotations

from pathlib import Path

from seaway_service import Settings


class FleetSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of `/etc/seaway/fleet.toml`."""

    engine_socket: str = ""
    """This host's Engine API; empty means `<run_dir>/engine.sock`."""

    labels: dict[str, str] = {}
    """What this host is to be found by: `{region = "eu", disk = "fast"}`."""

    def engine(self) -> Path:
        """Where this host's Engine API listens."""
        return Path(self.engine_socket or Path(self.run_dir) / "engine.sock")
