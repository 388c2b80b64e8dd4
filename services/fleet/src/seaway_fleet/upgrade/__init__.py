"""Upgrades in waves: the machine, the leader who turns it, and a host's part."""
