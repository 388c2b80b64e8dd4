"""Descriptors that outlive the process: what the service manager has opened for us, and what it keeps for us.

The first are its listening sockets (sd_listen_fds(3)); the second were handed to it by an earlier process of this
service (`FDSTORE=1`, sd_notify(3)), and come back with the names they were given.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from seaway_service.notify import Notifier

_FIRST = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)


class Passed(NamedTuple):
    """A descriptor we were started with. Its name is the socket unit's, or the one it was kept under."""

    name: str
    descriptor: int


METRICS = "metrics"
"""The name of the listening socket, where the service manager has one for us, on which metrics are served."""


def passed() -> list[Passed]:
    """What we were started with, in order; the second call finds nothing, so that no child believes it is meant.

    The socket for metrics isn't among it: that is taken by `metrics_listener`, before.
    """
    found = [each for each in _started_with() if each.name != METRICS]
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return found


def metrics_listener() -> socket.socket | None:
    """The socket for metrics that the service manager listens on for us."""
    found = [each.descriptor for each in _started_with() if each.name == METRICS]
    return socket.socket(fileno=found[0]) if found else None


def _started_with() -> list[Passed]:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS") or 0)
    told = os.environ.get("LISTEN_FDNAMES", "")
    names = told.split(":") if told else []
    names += ["unknown"] * (count - len(names))
    found = [Passed(name, number) for number, name in zip(range(_FIRST, _FIRST + count), names, strict=False)]
    for each in found:
        os.set_inheritable(each.descriptor, False)
    return found


class Store:
    """The service manager's store of our descriptors. Where there is no manager nothing is kept, silently.

    A unit allows it with `FileDescriptorStoreMax=`; what is kept comes back at the next start, also after SIGKILL, and
    is closed when the unit is stopped.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    @property
    def there(self) -> bool:
        """Whether somebody may keep descriptors."""
        return self._notifier.heard

    def keep(self, name: str, *descriptors: int) -> None:
        """Have duplicates of these kept under `name`: letters, digits and hyphens."""
        # Not polled: a client that has gone is found by whoever goes on, who also takes the rest out.
        self._notifier.tell(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", descriptors)

    def drop(self, name: str) -> None:
        """Have all that is kept under `name` closed."""
        self._notifier.tell(f"FDSTOREREMOVE=1\nFDNAME={name}")
