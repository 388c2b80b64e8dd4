"""What the supervisor can be told, each with a default and a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta
from seaway_protocol.log_options import DRIVERS
from seaway_service import Settings
from seaway_service.values import AbsolutePath, Bytes, OptionalPath

from seaway_supervisor.images.settings import ImageSettings

RelativePath = Annotated[str, Meta(pattern=r"^[^/]", description="a path without a slash in front")]
LogDriver = Annotated[str, Meta(pattern=rf"^({'|'.join(DRIVERS)})\Z", description=f"one of {', '.join(DRIVERS)}")]
StopSeconds = Annotated[int, Meta(ge=-1, extra={"unit": "seconds"})]
Limit = Annotated[str, Meta(pattern=r"^-?\d+(:-?\d+)?\Z", description='"soft" or "soft:hard"')]


LIVE = (
    *("default_runtime", "init_path", "shm_size", "stop_timeout"),
    *("log_driver", "log_options", "ulimits"),
)
"""What changes with a reload, for containers that are made or started from then on."""


class SupervisorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The supervisor's own settings beside those all services share."""

    cgroup_parent: RelativePath = "seaway"
    """The group below each cgroup hierarchy's mount in which containers get theirs."""

    default_runtime: str = "seaway"
    """What `--runtime` is where nobody says; other runtimes aren't built yet."""

    init_path: AbsolutePath = "/usr/bin/tini-static"
    """The static program that `--init` puts before the container's own command; Debian's package is `tini`."""

    shm_size: Bytes = 64 << 20
    """The size of /dev/shm where nobody says."""

    stop_timeout: StopSeconds = 10
    """The time between the stop signal and SIGKILL where nobody says; -1 waits for ever."""

    log_driver: LogDriver = "json-file"
    """The log driver where nobody says."""

    log_options: dict[str, str] = {}
    """Options of the default log driver."""

    ulimits: dict[str, Limit] = {}
    """Limits of every container by setrlimit(2)'s names in lower case, `soft` or `soft:hard`: `nofile = "1024"`."""

    images: ImageSettings = ImageSettings()
    """Registries, limits, and how much is done side by side."""

    event_store: OptionalPath = ""
    """Where nats-server keeps events; "" is `bus/jetstream` in the state directory."""

    @property
    def bus_store(self) -> str:
        """Where nats-server keeps events."""
        return self.event_store or str(Path(self.state_dir, "bus", "jetstream"))

    @property
    def database(self) -> Path:
        """The state file."""
        return Path(self.state_dir, "supervisor", "state.db")

    @property
    def ground_dir(self) -> Path:
        """The lowest layer of every root file system."""
        return Path(self.state_dir, "supervisor", "ground")

    @property
    def containers_dir(self) -> Path:
        """The containers' lasting directories."""
        return Path(self.state_dir, "containers")

    @property
    def volumes_dir(self) -> Path:
        """The volumes' directories."""
        return Path(self.state_dir, "volumes")

    @property
    def images_dir(self) -> Path:
        """Where images live."""
        return Path(self.state_dir, "images")
