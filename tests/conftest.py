"""The list of plug-ins; what they are is in tests/support."""

pytest_plugins = ["support.bus", "support.fleet_bus", "support.second_run", "pytester"]
