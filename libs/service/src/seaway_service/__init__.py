"""What every Seaway service needs of its host: settings, logging, readiness, stopping. Knows nothing of the bus."""

from __future__ import annotations

from seaway_service.descriptors import Passed, Store, passed
from seaway_service.lifecycle import Lifecycle
from seaway_service.main import EXIT_CONFIG, run
from seaway_service.notify import Notifier
from seaway_service.scraping import Metrics
from seaway_service.settings import Settings, SettingsError, load

__all__ = [
    "EXIT_CONFIG",
    "Lifecycle",
    "Metrics",
    "Notifier",
    "Passed",
    "Settings",
    "SettingsError",
    "Store",
    "load",
    "passed",
    "run",
]
