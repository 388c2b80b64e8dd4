"""The nats-server that runs on this host, by the store it has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

PID_FILE = "nats-server.pid"


def end_server(store: Path) -> bool:
    """End the nats-server whose store is `store`, in order (SIGTERM), for its service manager to start it again.

    False where there is none, or we may not.
    """
    return _signal(store, signal.SIGTERM)


def reload_server(store: Path) -> bool:
    """Have the nats-server whose store is `store` read its configuration again. False where there is none."""
    return _signal(store, signal.SIGHUP)


def _signal(store: Path, number: signal.Signals) -> bool:
    try:
        pid = int((store / PID_FILE).read_text())
        process = os.pidfd_open(pid)
    except (OSError, ValueError):
        return False
    try:
        if "nats-server" not in Path(f"/proc/{pid}/cmdline").read_text():  # the number is another's by now
            return False
        signal.pidfd_send_signal(process, number)
    except OSError:
        return False
    finally:
        os.close(process)
    return True
