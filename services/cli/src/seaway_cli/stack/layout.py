"""Where everything of one engine is, and what its kernel objects are called. Pure.

    <run>/    /run/seaway      engine.sock  up.pid  services/<name>.pid  notify/<name>  netns/  shim/
    <state>/  /var/lib/seaway  bus/  supervisor/  network/  images/  containers/  volumes/  log/<name>.log
    <etc>/    /etc/seaway      <service>.toml  bus/*.creds
    <opt>/    /opt/seaway      <service>/<version>/  <service>/current

Under `seaway up --root DIR` the first three are DIR/run, DIR/state and DIR/etc, and bridge, nftables table and cgroup
carry a tag made from DIR, so that several engines live side by side on one machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("network", "runtime", "supervisor", "shim", "daemon")
"""In the order in which they are started; each can wait for the others, so the order only saves time."""


@dataclass(frozen=True)
class Layout:
    """The directories and names of one engine."""

    run: Path
    state: Path
    etc: Path
    opt: Path
    tag: str = ""

    @classmethod
    def of(cls, root: Path | None, opt: Path = Path("/opt/seaway")) -> Layout:
        """The host's own engine, or a private one below `root`."""
        if root is None:
            return cls(Path("/run/seaway"), Path("/var/lib/seaway"), Path("/etc/seaway"), opt)
        tag = hashlib.sha256(str(root).encode()).hexdigest()[:6]
        return cls(root / "run", root / "state", root / "etc", opt, tag)

    @property
    def socket(self) -> Path:
        """The Engine API's listening socket."""
        return self.run / "engine.sock"

    @property
    def metrics(self) -> Path:
        """The sockets on which services tell their metrics."""
        return self.run / "metrics"

    @property
    def pid_file(self) -> Path:
        """The process id of `seaway up`."""
        return self.run / "up.pid"

    @property
    def bus(self) -> Path:
        """nats-server's configuration, keys and JetStream store."""
        return self.state / "bus"

    @property
    def hub(self) -> Path:
        """The configuration of the fleet's hub, where this host runs one."""
        return self.state / "hub"

    @property
    def bridge(self) -> str:
        """The default bridge's interface; at most 15 characters."""
        return f"seaway{self.tag}" if self.tag else "seaway0"

    @property
    def table(self) -> str:
        """The nftables table that is ours."""
        return f"seaway_{self.tag}" if self.tag else "seaway"

    @property
    def cgroup(self) -> str:
        """The parent of the containers' cgroups, below each hierarchy's mount."""
        return f"seaway-{self.tag}" if self.tag else "seaway"

    @property
    def link_prefix(self) -> str:
        """What the names of other interfaces begin with: four letters at most, of no other engine on the host."""
        letters = "".join(chr(ord("a") + int(digit, 16)) for digit in self.tag[:3])
        return f"s{letters}" if self.tag else "sw"

    def log(self, name: str) -> Path:
        """Where a service's standard error goes."""
        return self.state / "log" / f"{name}.log"
