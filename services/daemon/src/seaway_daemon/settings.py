"""What the daemon is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from seaway_service import Settings
from seaway_service.values import AbsolutePath, Bytes, OptionalPath, Seconds

ModeBits = Annotated[int, Meta(ge=0, le=0o777, description="permission bits, such as 0o660")]
Address = Annotated[str, Meta(pattern=r"^(.+:\d{1,5})?\Z", description='address:port, or ""')]


LIVE = ("access_log", "audit", "max_body", "roles", "stop_seconds", "tls_certificate", "tls_key", "tls_authority")
"""What changes with a reload, without a restart."""


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one identity may. `labels` limits it to containers that carry all of them, `hosts` to these hosts."""

    role: Literal["viewer", "operator", "admin"]
    labels: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class DaemonSettings(Settings, frozen=True, kw_only=True):
    """The settings of `/etc/seaway/daemon.toml`."""

    socket: OptionalPath = ""
    """Where the API is served as a unix socket; empty means `<run_dir>/engine.sock`."""

    sockets: tuple[AbsolutePath, ...] = ()
    """More unix sockets for the same API, such as /var/run/docker.sock."""

    socket_mode: ModeBits = 0o660
    """The permission bits of the sockets."""

    socket_group: str = ""
    """The group that owns the sockets; empty leaves the process's own."""

    tcp: Address = ""
    """`address:port` to serve on as well; needs the three TLS files, since there is no unauthenticated TCP."""

    tls_certificate: OptionalPath = ""
    """The server's certificate chain, PEM."""

    tls_key: OptionalPath = ""
    """The key of that certificate, PEM."""

    tls_authority: OptionalPath = ""
    """The authority whose client certificates are let in, PEM."""

    roles: dict[str, Grant] = {}
    """What each client certificate may do, by its common name; `"*"` is any other. Empty: everything."""

    audit: Literal["changes", "everything", "nothing"] = "changes"
    """Which requests are noted in the host's audit: those that change something or were refused, all, or none."""

    max_body: Bytes = 4 * 1024 * 1024
    """How long a JSON body may be. Archives are streamed and not counted."""

    stop_seconds: Seconds = 2.0
    """How long requests that are being answered may still take when the daemon stops."""

    access_log: bool = False
    """Whether each request is logged."""

    def socket_paths(self) -> tuple[Path, ...]:
        """Every unix socket to listen on."""
        first = self.socket or str(Path(self.run_dir) / "engine.sock")
        return tuple(Path(each) for each in (first, *self.sockets))
