"""The nursery's settings, `/etc/seaway/shim.toml`. A shim has none of its own: it is told by its birth."""

from __future__ import annotations

from seaway_service import Settings
from seaway_service.values import AbsolutePath, Seconds


class ShimSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the nursery is told."""

    shim_key: AbsolutePath = "/etc/seaway/bus/shim.key"
    """The key from which shims' credentials are minted; readable by the nursery alone."""

    spawn_seconds: Seconds = 10.0
    """How long a new shim may take to be on the bus."""
