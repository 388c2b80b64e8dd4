"""`/fleet/…`: the HTTP API for tooling that sees and moves all hosts of a fleet."""
