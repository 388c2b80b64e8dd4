"""The headers of every answer."""

from __future__ import annotations

from collections.abc import Mapping

from seaway_bus import current_trace

from seaway_daemon import __version__
from seaway_daemon.version import NEWEST

STANDARD_HEADERS: Mapping[str, str] = {
    "Api-Version": str(NEWEST),
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Seaway/{__version__} (linux)",
}
"""On every answer, as Docker's clients expect."""


def traced() -> Mapping[str, str]:
    """The header by which who asked finds the request in the journals of all services: its W3C Trace Context."""
    trace = current_trace()
    return {"Traceparent": trace} if trace else {}


JSON_HEADERS: Mapping[str, str] = {**STANDARD_HEADERS, "Content-Type": "application/json"}
