"""The runtime as a service on the bus."""

from __future__ import annotations

from seaway_bus import connect
from seaway_oci.seccomp import default_seccomp
from seaway_protocol import RUNTIME
from seaway_service.lifecycle import Lifecycle

from seaway_runtime import VERSION, host_facts
from seaway_runtime.endpoints import Runtime
from seaway_runtime.settings import RuntimeSettings

DOCKER_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)


async def serve(settings: RuntimeSettings, lifecycle: Lifecycle) -> None:
    """Answer until told to stop."""
    host = host_facts.look()
    if host.compile_seccomp:  # the filter nearly all containers have, so that the first one needn't wait for it
        host.compile_seccomp(default_seccomp({f"CAP_{name}" for name in DOCKER_CAPABILITIES}))
    bus = await connect(settings.bus_url, credentials=settings.credentials or None, name="runtime", node=settings.node)
    lifecycle.metrics.add(bus.metrics)
    try:
        await bus.serve(RUNTIME, Runtime.endpoints.bind(Runtime(host)), version=VERSION)
        lifecycle.ready("serving plans")
        await lifecycle.stopping.wait()
    finally:
        await bus.close()
