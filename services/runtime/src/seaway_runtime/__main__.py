"""`seaway-runtime`: the service on the bus, with one of its options first; else the OCI command line.

The command line starts fast or not at all: nothing of the bus is imported for it. `python -X importtime` when it
feels slow.
"""

from __future__ import annotations

import sys

_SERVICE = ("--config", "--selftest", "--settings")


def main() -> int:
    """One of the two faces."""
    # The first argument alone: a command that is executed in a container may have any.
    if sys.argv[1:] and sys.argv[1].split("=", 1)[0] in _SERVICE:
        return service()
    from seaway_runtime import cli

    return cli.main(sys.argv[1:])


def service() -> int:
    """The service."""
    from seaway_service import run

    from seaway_runtime import VERSION
    from seaway_runtime.service import serve
    from seaway_runtime.settings import RuntimeSettings

    return run("seaway-runtime", VERSION, RuntimeSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
