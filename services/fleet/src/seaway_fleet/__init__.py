"""One host's presence in a fleet of hosts: joining, being seen and asked, being upgraded; and leading it."""

from __future__ import annotations

__version__ = "0.1.0"
