"""Fixtures of the fleet's tests."""

from __future__ import annotations

from support.fleet_service import hosts

__all__ = ["hosts"]
