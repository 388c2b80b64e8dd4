"""Shapes against what a real dockerd answered for the same objects; see golden/README.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from seaway_bus import Occurrence
from seaway_daemon.api import bodies
from seaway_daemon.api.exec import shape as exec_shape
from seaway_daemon.shapes import containers, events, images, networks, stats, system, volumes
from seaway_daemon.times import to_nanoseconds
from seaway_daemon.translate.container import container_spec
from seaway_daemon.version import NEWEST, ApiVersion
from seaway_protocol import network as network_wire
from seaway_protocol import runtime
from seaway_protocol import supervisor as wire
from seaway_protocol.types import (
    Container,
    ContainerState,
    Endpoint,
    ExecState,
    ExitStatus,
    Healthcheck,
    Image,
    ImageHistory,
    LogSpec,
    MountPoint,
    PortBinding,
    ProcessSpec,
    Sandbox,
    Volume,
)

GOLDEN = Path(__file__).parent / "golden"

OLD_ONLY = {"KernelMemory", "KernelMemoryTCP"}
"""Fields of HostConfig that Docker 28 has no more."""

NEW_HERE = {"GwPriority", "DNSNames", "EnableIPv4"}
"""Fields that came after 20.10."""

REQUEST = {
    "Image": "busybox",
    "Cmd": ["sh", "-c", "echo hi; echo err >&2; sleep 300"],
    "Labels": {"a": "b"},
    "Env": ["X=1"],
    "ExposedPorts": {"80/tcp": {}},
    "HostConfig": {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8081"}]},
        "Binds": ["/tmp:/mnt:ro", "vol1:/v"],
        "Tmpfs": {"/t": "size=1m"},
        "Memory": 67108864,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "Mounts": [
            {"Type": "volume", "Target": "/anon"},
            {"Type": "bind", "Source": "/var", "Target": "/hostvar", "ReadOnly": True},
        ],
    },
}
"""What the recorded container was created with."""


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def image(recorded: dict[str, Any], **changes: Any) -> Image:
    """The image that dockerd described so."""
    document: dict[str, Any] = {"config": recorded.get("Config") or {}, "rootfs": {"type": "layers"}, "history": [{}]}
    return Image(
        id=recorded["Id"],
        tags=tuple(recorded["RepoTags"]),
        created_at=to_nanoseconds("2026-01-02T03:04:05Z"),
        size=recorded["Size"],
        architecture="amd64",
        config=json.dumps(document).encode(),
        layers=tuple(recorded.get("RootFS", {}).get("Layers", ())),
        **changes,
    )


def _log(recorded: dict[str, Any]) -> LogSpec:
    """What the supervisor makes of a request: with the engine's default driver where it names none."""
    return LogSpec(driver=recorded["Type"], options=recorded["Config"])


def container(recorded: dict[str, Any], request: dict[str, Any]) -> Container:
    """The container that dockerd described so, after this request."""
    origin = json.dumps(request).encode()
    spec = container_spec(bodies.decode(origin, bodies.CreateContainer), origin)
    state, settings = recorded["State"], recorded["NetworkSettings"]
    config = recorded["Config"]
    started, finished = (_time(state[name]) for name in ("StartedAt", "FinishedAt"))
    exit = ExitStatus(code=state["ExitCode"]) if finished or state["ExitCode"] else None
    return Container(
        id=recorded["Id"],
        name=recorded["Name"][1:],
        spec=msgspec.structs.replace(spec, log=_log(recorded["HostConfig"]["LogConfig"])),
        image_id=recorded["Image"],
        created_at=to_nanoseconds(recorded["Created"]),
        state=ContainerState(
            status=state["Status"],
            pid=state["Pid"],
            exit=exit,
            error=state["Error"],
            started_at=started,
            finished_at=finished,
        ),
        process=ProcessSpec(
            args=(recorded["Path"], *recorded["Args"]),
            env=tuple(config["Env"]),
            cwd=config["WorkingDir"] or "/",
            user=config["User"],
        ),
        labels=config["Labels"],
        stop_signal=config.get("StopSignal", "SIGTERM"),
        health=_health(config.get("Healthcheck")),
        sandbox=_sandbox(recorded["Id"], settings),
        mounts=tuple(_mount(each) for each in recorded["Mounts"]),
        exposed=tuple(config.get("ExposedPorts", ())),
        log_path=recorded["LogPath"],
        resolv_path=recorded["ResolvConfPath"],
        hostname_path=recorded["HostnamePath"],
        hosts_path=recorded["HostsPath"],
    )


def _time(text: str) -> int:
    return 0 if text.startswith("0001") else to_nanoseconds(text)


def _health(given: dict[str, Any] | None) -> Healthcheck | None:
    if given is None:
        return None
    return Healthcheck(test=tuple(given["Test"]), interval=given["Interval"], retries=given["Retries"])


def _mount(given: dict[str, Any]) -> MountPoint:
    return MountPoint(
        type=given["Type"],
        target=given["Destination"],
        source=given["Source"],
        volume=given.get("Name", ""),
        driver=given.get("Driver", ""),
        read_only=not given["RW"],
        propagation=given["Propagation"],
    )


def _sandbox(id: str, settings: dict[str, Any]) -> Sandbox | None:
    if not settings["SandboxKey"]:
        return None
    if not settings["IPAddress"]:
        return Sandbox(container=id, path=settings["SandboxKey"])
    endpoint = settings["Networks"]["bridge"]
    return Sandbox(
        container=id,
        path=settings["SandboxKey"],
        endpoints=(
            Endpoint(
                network="bridge",
                network_id=endpoint["NetworkID"],
                endpoint_id=endpoint["EndpointID"],
                ipv4=endpoint["IPAddress"],
                ipv4_prefix=endpoint["IPPrefixLen"],
                gateway=endpoint["Gateway"],
                mac=endpoint["MacAddress"],
            ),
        ),
        ports=(PortBinding(port=80, host_port=8081),),
    )


def compare(ours: Any, theirs: Any, differing: set[str], path: str = "") -> list[str]:
    """Every place where the two differ, except at the paths in `differing`."""
    if path in differing or path.rpartition(".")[2] in OLD_ONLY | NEW_HERE:
        return []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            difference
            for key in sorted(set(ours) | set(theirs))
            for difference in compare(
                ours.get(key, "(absent)"), theirs.get(key, "(absent)"), differing, f"{path}.{key}".lstrip(".")
            )
        ]
    if ours in (None, [], {}) and theirs in (None, [], {}):
        return []  # Docker itself changes between them from version to version
    return [] if ours == theirs else [f"{path}: {ours!r} is not {theirs!r}"]


CONTAINER_DIFFERS = {
    "GraphDriver",  # our own directories
    "HostConfig.NetworkMode",  # 28 says bridge where 20.10 said default
    "HostConfig.CgroupnsMode",  # private here; 20.10 on cgroup v1 says host
    "HostConfig.Runtime",  # seaway
    "HostConfig.MaskedPaths",  # 28 masks more
    "HostConfig.RestartPolicy",  # 28 says no where 20.10 said nothing
    "HostConfig.OomKillDisable",
    "NetworkSettings.SandboxID",  # ours is the container's
    "NetworkSettings.Ports",  # compared by itself: 20.10 publishes on IPv6 too
}


@pytest.mark.parametrize("name", ["container-created", "container-running", "container-exited"])
def test_inspect(name: str) -> None:
    theirs = golden(name)
    ours = containers.inspected(container(theirs, REQUEST), image(golden("images")[0]))
    ours["Config"]["Env"] = theirs["Config"]["Env"]  # the list of images doesn't tell their variables
    ours["Mounts"].sort(key=str)
    theirs["Mounts"].sort(key=str)
    updated = {"HostConfig.Memory", "HostConfig.MemorySwap", "NetworkSettings.Networks.bridge.NetworkID"}
    assert compare(ours, theirs, CONTAINER_DIFFERS | (updated if name == "container-exited" else set())) == []


def test_published_ports() -> None:
    theirs = golden("container-running")
    ours = containers.inspected(container(theirs, REQUEST))
    [first, *_] = theirs["NetworkSettings"]["Ports"]["80/tcp"]
    assert ours["NetworkSettings"]["Ports"] == {"80/tcp": [first]}


def test_inspect_of_a_container_that_takes_everything_from_its_image() -> None:
    theirs = golden("container-of-image")
    ours = containers.inspected(container(theirs, {"Image": "furnished:1"}), image(golden("image")))
    assert compare(ours, theirs, CONTAINER_DIFFERS) == []


def test_inspect_of_a_container_that_could_not_be_started() -> None:
    theirs = golden("container-failed")
    ours = containers.inspected(container(theirs, {"Image": "busybox", "Cmd": ["nosuch"]}))
    differing = CONTAINER_DIFFERS | {"NetworkSettings.Networks.bridge.NetworkID"}
    assert compare(ours, theirs, differing) == []


def test_ps() -> None:
    [theirs], inspected = golden("ps-running"), golden("container-running")
    now = to_nanoseconds(inspected["State"]["StartedAt"]) + 1_500_000_000
    ours = containers.summary(container(inspected, REQUEST), now)
    assert ours["Ports"] == [theirs["Ports"][0]]
    for mount in (*ours["Mounts"], *theirs["Mounts"]):
        mount["Mode"] = ""  # told by inspect alone
    ours["Mounts"].sort(key=str)
    theirs["Mounts"].sort(key=str)
    assert compare(ours, theirs, {"Ports", "HostConfig.NetworkMode"}) == []


def test_ps_of_what_has_exited() -> None:
    theirs = golden("ps-exited")[0]
    inspected = golden("container-exited")
    now = to_nanoseconds(inspected["State"]["FinishedAt"]) + 200_000_000
    ours = containers.summary(container(inspected, REQUEST), now)
    assert (ours["State"], ours["Status"]) == (theirs["State"], theirs["Status"])


def test_image_inspect() -> None:
    theirs = golden("image")
    ours = images.inspected(image(theirs), ApiVersion(1, 41))
    assert compare(ours, theirs, {"GraphDriver"}) == []


def test_new_clients_are_not_told_what_is_gone() -> None:
    ours = images.inspected(image(golden("image")), NEWEST)
    assert "VirtualSize" not in ours
    assert ours["ContainerConfig"]  # but for what docker-compose 1.29 reads, whatever it speaks


def test_image_list() -> None:
    theirs = golden("images")[1]
    made = image({**theirs, "Config": {"Labels": theirs["Labels"]}})
    assert compare(images.summary(made, ApiVersion(1, 41)), theirs, set()) == []


def test_image_history() -> None:
    theirs = golden("history")
    created = to_nanoseconds("2026-01-02T03:04:05Z")
    steps = tuple(
        ImageHistory(created_at=created, created_by=each["CreatedBy"], size=each["Size"]) for each in theirs[::-1]
    )
    assert images.history(image(golden("image"), history=steps)) == theirs


def test_volume() -> None:
    theirs = golden("volume")
    made = Volume(name="vol1", mountpoint=theirs["Mountpoint"], created_at=to_nanoseconds(theirs["CreatedAt"]) + 5)
    assert compare(volumes.volume(made), theirs, set()) == []


def test_network() -> None:
    theirs = golden("network-bridge")
    endpoints = {
        id: Endpoint(
            network="bridge",
            network_id=theirs["Id"],
            endpoint_id=each["EndpointID"],
            mac=each["MacAddress"],
            ipv4=each["IPv4Address"].partition("/")[0],
            ipv4_prefix=24,
        )
        for id, each in theirs["Containers"].items()
    }
    [subnet] = theirs["IPAM"]["Config"]
    made = network_wire.Network(
        id=theirs["Id"],
        name="bridge",
        driver="bridge",
        created_at=to_nanoseconds(theirs["Created"]),
        subnets=(network_wire.Subnet(subnet=subnet["Subnet"], gateway=subnet["Gateway"]),),
        options=theirs["Options"],
        endpoints=endpoints,
        container_names={id: each["Name"] for id, each in theirs["Containers"].items()},
    )
    assert compare(networks.network(made), theirs, set()) == []


@pytest.mark.parametrize("name", ["exec-created", "exec-exited"])
def test_exec(name: str) -> None:
    theirs = golden(name)
    process = theirs["ProcessConfig"]
    made = ExecState(
        id=theirs["ID"],
        container=theirs["ContainerID"],
        process=ProcessSpec(args=(process["entrypoint"], *process["arguments"])),
        pid=theirs["Pid"],
        exit=None if theirs["ExitCode"] is None else ExitStatus(code=theirs["ExitCode"]),
        attach_stdout=True,
        attach_stderr=True,
    )
    assert compare(exec_shape(made), theirs, {"CanRemove"}) == []


def test_stats_have_dockers_numbers() -> None:
    theirs = golden("stats")
    counters = {
        "cpu.usage_ns": theirs["cpu_stats"]["cpu_usage"]["total_usage"],
        "cpu.system_ns": theirs["cpu_stats"]["cpu_usage"]["usage_in_kernelmode"],
        "memory.current": theirs["memory_stats"]["usage"],
        "memory.peak": theirs["memory_stats"]["max_usage"],
        "memory.max": theirs["memory_stats"]["limit"],
        "pids.current": theirs["pids_stats"]["current"],
        **{f"memory.stat.{name}": value for name, value in theirs["memory_stats"]["stats"].items()},
        **{f"net.eth0.{name}": value for name, value in theirs["networks"]["eth0"].items()},
    }
    now, before = (
        runtime.Stats(
            at=to_nanoseconds(theirs[at]),
            counters=counters,
            online_cpus=2,
            system_cpu_ns=theirs[cpu]["system_cpu_usage"],
        )
        for at, cpu in (("read", "cpu_stats"), ("preread", "precpu_stats"))
    )
    ours = stats.stats(container(golden("container-running"), REQUEST), now, before)
    per_cpu = {f"{each}.cpu_usage.percpu_usage" for each in ("cpu_stats", "precpu_stats")}
    assert compare(ours, theirs, per_cpu) == []


def test_io_is_told_by_device() -> None:
    found = stats.blkio({"io.8:0.rbytes": 10, "io.8:0.wios": 3, "io.bad.rbytes": 1, "cpu.usage_ns": 5})
    assert found["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 10}]
    assert found["io_serviced_recursive"] == [{"major": 8, "minor": 0, "op": "write", "value": 3}]


def test_info_has_every_field_that_clients_print() -> None:
    theirs = golden("info")
    given = wire.Info(
        node="n1",
        version="0.1.0",
        hostname="vm",
        kernel="6.18",
        operating_system="Debian",
        os_version="12",
        architecture="x86_64",
        cpus=2,
        memory=1,
        root_dir="/var/lib/seaway",
        storage_driver="overlay2",
    )
    ours = system.info(given, runtime.FeaturesReply(features=b"{}", cgroup_version=1), 0)
    gone = {"KernelMemory", "KernelMemoryTCP", "BridgeNfIptables", "BridgeNfIp6tables"}  # no more in 28
    assert set(theirs) - gone <= set(ours)
    assert ours["CgroupVersion"] == "1"
    assert set(golden("version")) <= set(system.version(given))


OCCURRENCES = {
    ("container", "create"): (wire.container_created, {}),
    ("container", "start"): (wire.container_started, {}),
    ("container", "attach"): (wire.container_attached, {}),
    ("container", "exec_create"): (wire.exec_created, {"exec": "EXEC", "command": "sh -c echo out; exit 3"}),
    ("container", "exec_start"): (wire.exec_started, {"exec": "EXEC", "command": "sh -c echo out; exit 3"}),
    ("container", "exec_die"): (wire.exec_exited, {"exec": "EXEC", "command": "sh", "exitCode": "3"}),
    ("container", "pause"): (wire.container_paused, {}),
    ("container", "unpause"): (wire.container_unpaused, {}),
    ("container", "rename"): (wire.container_renamed, {"oldName": "one"}),
    ("container", "resize"): (wire.container_resized, {"height": "20", "width": "10"}),
    ("container", "update"): (wire.container_updated, {}),
    ("container", "kill"): (wire.container_killed, {"signal": "9"}),
    ("container", "die"): (wire.container_exited, {"exitCode": "137"}),
    ("container", "destroy"): (wire.container_removed, {}),
}


@pytest.mark.parametrize(("kind", "action"), OCCURRENCES)
def test_container_events(kind: str, action: str) -> None:
    theirs = next(e for e in golden("events") if (e["Type"], e["Action"].partition(":")[0]) == (kind, action))
    attributes = theirs["Actor"]["Attributes"]
    declared, facts = OCCURRENCES[kind, action]
    facts = {name: attributes["execID"] if value == "EXEC" else value for name, value in facts.items()}
    payload = wire.ContainerHappened(
        name=attributes["name"],
        image=attributes["image"],
        labels={"a": "b"} if "a" in attributes else {},
        attributes=facts,
    )
    at = datetime.fromtimestamp(theirs["time"], UTC)
    ours = events.event(Occurrence(declared, payload, theirs["id"], "n1", at, 1))
    assert compare(ours, theirs, {"timeNano"}) == []


def test_other_events() -> None:
    recorded = {(each["Type"], each["Action"]): each for each in golden("events")}
    for key, declared, payload in (
        (("volume", "create"), wire.volume_created, wire.VolumeHappened()),
        (("volume", "destroy"), wire.volume_removed, wire.VolumeHappened()),
        (("network", "create"), network_wire.created, network_wire.NetworkHappened(name="n1", driver="bridge")),
        (("network", "destroy"), network_wire.removed, network_wire.NetworkHappened(name="n1", driver="bridge")),
        (("image", "tag"), wire.image_tagged, wire.ImageHappened(name="foo/bar:x")),
    ):
        theirs = recorded[key]
        at = datetime.fromtimestamp(theirs["time"], UTC)
        ours = events.event(Occurrence(declared, payload, theirs["Actor"]["ID"], "n1", at, 1))
        assert compare(ours, theirs, {"timeNano"}) == [], key


def test_every_event_has_dockers_name() -> None:
    declared = {each.name for interface in (wire.SUPERVISOR, network_wire.NETWORK) for each in interface.events}
    assert declared == set(events.ACTIONS)


def test_a_health_event_carries_its_verdict() -> None:
    payload = wire.ContainerHappened(name="x", image="i", attributes={"status": "healthy"})
    told = events.event(Occurrence(wire.container_health, payload, "1", "n1", datetime.now(UTC), 1))
    assert told["Action"] == "health_status: healthy" and "status" not in told["Actor"]["Attributes"]


def test_a_container_without_a_request_is_shown_by_its_spec() -> None:
    bare = container(golden("container-created"), REQUEST)
    bare = msgspec.structs.replace(bare, spec=msgspec.structs.replace(bare.spec, origin=b""))
    assert containers.inspected(bare)["HostConfig"]["Memory"] == 67108864
