"""Fixtures of the fleet's tests."""
