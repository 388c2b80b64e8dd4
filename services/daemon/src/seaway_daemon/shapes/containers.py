"""Containers as `docker ps` and `docker inspect` show them.

What the client asked for is given back verbatim from the spec's `origin`, over Docker's defaults, and what is in force
is laid over it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from seaway_protocol.types import Container, Healthcheck, Image, MountPoint

from seaway_daemon.shapes.addresses import network_settings, networks, ports
from seaway_daemon.shapes.defaults import EMPTY_CONFIG
from seaway_daemon.shapes.state import state, status_line
from seaway_daemon.times import SECOND, rfc3339
from seaway_daemon.translate.resources import to_docker

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
"""What a container can't see unless it asks otherwise: Docker's list."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What a container can't write to unless it asks otherwise: Docker's list."""

_SHM_SIZE = 64 * 1024 * 1024

_CONFIG: dict[str, Any] = {**EMPTY_CONFIG, "Labels": {}}

_HOST_CONFIG: dict[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": _SHM_SIZE,
    "Runtime": "seaway",
    "Isolation": "",
}

_IN_CONFIG = frozenset(_CONFIG) | {"ExposedPorts", "Healthcheck", "StopSignal", "StopTimeout", "MacAddress", "Shell"}


def summary(container: Container, now: int) -> dict[str, Any]:
    """One element of `GET /containers/json`."""
    shape: dict[str, Any] = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.spec.image,
        "ImageID": container.image_id,
        "Command": command_line(container.process.args),
        "Created": container.created_at // SECOND,
        "Ports": ports(container),
        "Labels": container.labels,
        "State": container.state.status,
        "Status": status_line(container.state, now, checked=has_check(container)),
        "HostConfig": {"NetworkMode": network_mode(container)},
        "NetworkSettings": {"Networks": networks(container)},
        "Mounts": [mount_point(each, {}) for each in container.mounts],
    }
    if container.size_rw is not None:
        shape |= {"SizeRw": container.size_rw, "SizeRootFs": container.size_root or 0}
    return shape


def has_check(container: Container) -> bool:
    """Whether a health check is run in it."""
    return bool(container.health and container.health.test and container.health.test[0] not in ("", "NONE"))


def command_line(args: tuple[str, ...]) -> str:
    """The command as `docker ps` shows it: arguments with spaces in single quotes."""
    return " ".join([*args[:1], *(f"'{word}'" if " " in word else word for word in args[1:])])


def network_mode(container: Container) -> str:
    """The mode as Docker names it: a network's name stands for itself, also when the container has left it."""
    spec = container.spec.network
    if spec.mode != "networks":
        return spec.mode
    if spec.endpoints:
        return spec.endpoints[0].network
    asked = _origin(container).get("HostConfig") or {}
    return str(asked.get("NetworkMode") or "bridge")


def mount_modes(asked: dict[str, Any]) -> dict[str, str]:
    """The words that each of the request's mounts was asked for with, by target; Docker gives a volume's as `z`."""
    modes = {each.get("Target", ""): "z" for each in asked.get("Mounts") or () if each.get("Type") == "volume"}
    for parts in (str(bind).split(":") for bind in asked.get("Binds") or ()):
        if len(parts) > 1:
            modes[parts[1].rstrip("/")] = parts[2] if len(parts) > 2 else "" if parts[0].startswith("/") else "z"
    return modes


def mount_point(given: MountPoint, modes: dict[str, str]) -> dict[str, Any]:
    """One element of `Mounts`; `modes` are the words it was asked for with, by target."""
    shape: dict[str, Any] = {
        "Type": given.type,
        "Source": given.source,
        "Destination": given.target,
        "Mode": modes.get(given.target, given.mode),
        "RW": not given.read_only,
        "Propagation": given.propagation,
    }
    if given.type == "volume":
        shape = {"Type": "volume", "Name": given.volume, **shape, "Driver": given.driver or "local"}
    return shape


def inspected(container: Container, image: Image | None = None) -> dict[str, Any]:
    """The answer of `GET /containers/{id}/json`. The image adds what the container takes from it unasked."""
    origin = _origin(container)
    args, modes = container.process.args, mount_modes(origin.get("HostConfig") or {})
    shape: dict[str, Any] = {
        "Id": container.id,
        "Created": rfc3339(container.created_at),
        "Path": args[0] if args else "",
        "Args": list(args[1:]),
        "State": state(container.state, checked=has_check(container)),
        "Image": container.image_id,
        "ResolvConfPath": container.resolv_path,
        "HostnamePath": container.hostname_path,
        "HostsPath": container.hosts_path,
        "LogPath": container.log_path if container.spec.log.driver == "json-file" else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(container.execs) or None,
        "HostConfig": host_config(container, origin.get("HostConfig") or {}),
        "GraphDriver": {"Data": {"UpperDir": container.upper_dir}, "Name": "overlay2"},
        "Mounts": [mount_point(each, modes) for each in container.mounts],
        "Config": config(container, origin, image),
        "NetworkSettings": network_settings(container),
    }
    if container.size_rw is not None:
        shape |= {"SizeRw": container.size_rw, "SizeRootFs": container.size_root or 0}
    return shape


def config(container: Container, origin: dict[str, Any], image: Image | None) -> dict[str, Any]:
    """`Config`: the request's own fields, with the image's and the engine's defaults."""
    asked = {name: value for name, value in origin.items() if name in _IN_CONFIG}
    of_image = _image_config(image)
    entrypoint, command = _split(container, asked, of_image)
    volumes = {**(of_image.get("Volumes") or {}), **(asked.get("Volumes") or {})}
    shape = {
        **_CONFIG,
        **asked,
        "Hostname": container.spec.hostname or container.id[:12],
        "User": container.process.user,
        "Tty": container.process.terminal,
        "Env": _env(container, asked, of_image),
        "Cmd": command,
        "Image": container.spec.image,
        "Volumes": volumes or None,
        "WorkingDir": container.process.cwd if _names_directory(asked, of_image) else "",
        "Entrypoint": entrypoint,
        "OnBuild": of_image.get("OnBuild"),
        "Labels": container.labels,
    }
    if container.exposed:
        shape["ExposedPorts"] = {port: {} for port in container.exposed}
    if container.health:
        shape["Healthcheck"] = healthcheck(container.health)
    if asked.get("StopSignal") or of_image.get("StopSignal"):
        shape["StopSignal"] = asked.get("StopSignal") or of_image["StopSignal"]
    return shape


def _env(container: Container, asked: dict[str, Any], of_image: dict[str, Any]) -> list[str]:
    """The request's variables, then the image's that it doesn't override; the process's own where neither is known."""
    own, inherited = asked.get("Env") or [], of_image.get("Env") or []
    names = {variable.partition("=")[0] for variable in own}
    both = own + [variable for variable in inherited if variable.partition("=")[0] not in names]
    return both or list(container.process.env)


def _names_directory(asked: dict[str, Any], of_image: dict[str, Any]) -> bool:
    """Whether somebody named a working directory: Docker leaves the field empty for the root it falls back on."""
    return bool(asked.get("WorkingDir") or of_image.get("WorkingDir"))


def _split(
    container: Container, asked: dict[str, Any], of_image: dict[str, Any]
) -> tuple[list[str] | None, list[str] | None]:
    """Entrypoint and command, of which the process's arguments are the sum."""
    args, entrypoint = list(container.process.args), container.spec.entrypoint
    if entrypoint is None:
        entrypoint = tuple(of_image.get("Entrypoint") or ())
    if tuple(args[: len(entrypoint)]) != entrypoint:
        return None, args or None
    return list(entrypoint) or None, args[len(entrypoint) :] or None


def _image_config(image: Image | None) -> dict[str, Any]:
    if image is None:
        return {}
    document = msgspec.json.decode(image.config)
    found = document.get("config") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def host_config(container: Container, asked: dict[str, Any]) -> dict[str, Any]:
    """`HostConfig`: the request's own fields, with what is in force where that may have changed."""
    spec = container.spec
    security = spec.security
    shape = {
        **_HOST_CONFIG,
        **asked,
        **_in_force(container),
    }
    unmasked = "systempaths=unconfined" in security.options or spec.security.privileged
    masked = security.masked_paths if security.masked_paths is not None else (() if unmasked else MASKED_PATHS)
    readonly = security.readonly_paths if security.readonly_paths is not None else (() if unmasked else READONLY_PATHS)
    return {**shape, "MaskedPaths": list(masked) or None, "ReadonlyPaths": list(readonly) or None}


def _in_force(container: Container) -> dict[str, Any]:
    spec = container.spec
    return {
        **to_docker(spec.resources, spec.cgroup_parent),
        "NetworkMode": network_mode(container),
        "LogConfig": {"Type": spec.log.driver, "Config": spec.log.options},
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.maximum},
        "ShmSize": spec.shm_size or _SHM_SIZE,
        "IpcMode": spec.ipc_mode or "private",
        "CgroupnsMode": spec.cgroupns_mode or "private",
        "Runtime": spec.runtime or "seaway",
    }


def healthcheck(given: Healthcheck) -> dict[str, Any]:
    """A health check, without the durations that are the default."""
    durations = {
        "Interval": given.interval,
        "Timeout": given.timeout,
        "StartPeriod": given.start_period,
        "StartInterval": given.start_interval,
        "Retries": given.retries,
    }
    return {"Test": list(given.test), **{name: value for name, value in durations.items() if value}}


def _origin(container: Container) -> dict[str, Any]:
    """The client's request; nothing for a container that wasn't made through this API."""
    try:
        origin = msgspec.json.decode(container.spec.origin) if container.spec.origin else {}
    except msgspec.DecodeError:
        return {}
    return origin if isinstance(origin, dict) else {}
