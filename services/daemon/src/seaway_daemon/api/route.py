"""A row of the route table."""

from __future__ import annotations

from typing import NamedTuple

from seaway_daemon.api.refused import Handler


class Route(NamedTuple):
    """One operation. A handler that is an `Operation` says what it takes and gives, too."""

    method: str
    path: str
    handler: Handler
    access: str
