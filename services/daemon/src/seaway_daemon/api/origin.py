"""Which web page a browser asks for: no other site's may do anything here with the certificate of whoever visits it.

Source: Fetch Metadata Request Headers (W3C), `Sec-Fetch-Site`. Clients that aren't browsers send neither of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from seaway_protocol.errors import PermissionDenied

_OURS = {"same-origin", "none"}  # none: typed into the address line, or a bookmark


def check(method: str, headers: Mapping[str, str]) -> None:
    """Raises PermissionDenied where another site's page asks, other than by a link to be looked at."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        followed = method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
        ours = site in _OURS or followed
    else:
        origin = headers.get("Origin")
        ours = not origin or urlsplit(origin).netloc == headers.get("Host")
    if not ours:
        raise PermissionDenied("cannot answer a page of another site; open this host's own page at /ui/")
