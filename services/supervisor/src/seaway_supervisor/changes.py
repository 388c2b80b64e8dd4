"""`rename`, `update`, and joining and leaving networks: changes to a container that may run or not."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from seaway_bus import first_asked
from seaway_protocol import network, runtime, shim
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import Conflict, Error, InvalidArgument, NotFound, Unavailable
from seaway_protocol.types import EndpointSpec, Resources, RestartPolicy

from seaway_supervisor import validation
from seaway_supervisor.host import Host, log
from seaway_supervisor.planning import PATIENCE
from seaway_supervisor.records import Record, check_name


async def rename(host: Host, record: Record, name: str) -> None:
    """Give a container another name. Raises Conflict where it is taken or its own, InvalidArgument."""
    await record.settled.wait()
    if not name.removeprefix("/"):
        raise InvalidArgument("Neither old nor new names may be empty")
    name = check_name(name)
    async with record.operation:
        old = record.name
        if name == old:
            raise Conflict("Renaming a container with the same name as its current name")
        host.records.reserve(name, record.id)
        record.replace(name=name)
        try:
            await host.save(record, (wire.container_renamed, record.happened(oldName=old)))
        except Unavailable:
            record.replace(name=old)
            record.owed = []
            host.records.release(name, record.id)
            raise
        host.records.release(old, record.id)
        if record.container.sandbox:
            await _tell_network(host, record)


async def _tell_network(host: Host, record: Record) -> None:
    """Have its neighbours find it by its new name: they do so at its next start where that isn't possible now."""
    request = network.Rename(container=record.id, name=record.name)
    try:
        sandbox = await host.bus.call(network.rename, request, seconds=5)
    except Error as error:
        log.warning("The network goes on calling %s otherwise: %s", record.name, error)
    else:
        record.replace(sandbox=sandbox)
        host.save(record)


async def update(host: Host, request: wire.Update) -> wire.Updated:
    """Other limits and another restart policy, from now on. Raises Conflict, InvalidArgument."""
    record = host.resolve(request.container)
    await record.settled.wait()
    warnings: list[str] = []
    async with record.operation:
        spec = record.container.spec
        if request.resources is not None:
            merged = merge_resources(spec.resources, request.resources)
            warnings = validation.check_resources(merged, os.cpu_count() or 1)
            if record.alive:
                await _apply(host, record, request.resources)
            spec = msgspec.structs.replace(spec, resources=merged)
        if request.restart is not None and request.restart.name:
            validation.check_restart(request.restart)
            if spec.auto_remove and request.restart.name != "no":
                raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
            if record.alive or record.state.status == "restarting":
                await _apply_restart(host, record, request.restart)
            spec = msgspec.structs.replace(spec, restart=request.restart)
        record.replace(spec=spec)
        await host.save(record, (wire.container_updated, record.happened()))
    return wire.Updated(warnings=tuple(warnings))


def merge_resources(have: Resources, wanted: Resources) -> Resources:
    """`wanted` over `have`; what isn't given stays. Nano CPUs and period with quota displace each other."""
    default = Resources()
    given = {name: value for name in wanted.__struct_fields__
             if (value := getattr(wanted, name)) != getattr(default, name)}  # fmt: skip
    if "nano_cpus" in given and (have.cpu_period or have.cpu_quota):
        raise Conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period/Quota has already been set")
    if {"cpu_period", "cpu_quota"} & set(given) and have.nano_cpus:
        raise Conflict("Conflicting options: CPU Period/Quota cannot be updated as NanoCPUs has already been set")
    if "memory" in given and "memory_swap" not in given and 0 < have.memory_swap < wanted.memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    return msgspec.structs.replace(have, **given)


async def _apply(host: Host, record: Record, resources: Resources) -> None:
    await host.bus.call(
        runtime.update, runtime.Update(cgroup=record.container.cgroup, resources=resources), patience=PATIENCE
    )


async def _apply_restart(host: Host, record: Record, policy: RestartPolicy) -> None:
    try:
        await host.bus.call(shim.update, shim.Update(restart=policy), id=record.id)
    except Unavailable:
        raise Unavailable(f"cannot update the restart policy of {record.name}: its shim doesn't answer") from None


async def connect(host: Host, record: Record, endpoint: EndpointSpec) -> None:
    """Join a network: now if the container runs, else when it starts. Asked again, it may have joined."""
    await record.settled.wait()
    async with record.operation:
        wanted = record.container.spec.network
        if wanted.mode in ("host", "none") or wanted.mode.startswith("container:"):
            raise InvalidArgument(
                f"container sharing network namespace with another container or host cannot be connected to any other"
                f" network: {record.name} has network mode {wanted.mode.partition(':')[0]}"
            )
        if first_asked() is not None and any(each.network == endpoint.network for each in _named(record)):
            return
        if record.alive:
            request = network.Connect(container=record.id, name=record.name, endpoint=endpoint)
            sandbox = await host.bus.call(network.connect, request, patience=PATIENCE)
            record.replace(sandbox=sandbox)
        else:
            await host.bus.call(network.inspect, network.Reference(network=endpoint.network), patience=PATIENCE)
        await _save(host, record, mode=_listed(wanted.mode), endpoints=(*_named(record), endpoint))


async def disconnect(host: Host, record: Record, request: wire.DisconnectNetwork) -> None:
    """Leave a network. Asked again, it may have left."""
    await record.settled.wait()
    async with record.operation:
        found = await host.bus.call(network.inspect, network.Reference(network=request.network), patience=PATIENCE)
        names = {request.network, found.name, found.id}
        if record.alive:
            leaving = network.Disconnect(container=record.id, network=request.network, force=request.force)
            sandbox = await host.bus.call(network.disconnect, leaving, patience=PATIENCE)
            record.replace(sandbox=sandbox)
        left = tuple(endpoint for endpoint in _named(record) if endpoint.network not in names)
        absent = len(left) == len(_named(record))
        if absent and not record.alive and not request.force and first_asked() is None:
            raise NotFound(f"container {record.id} is not connected to the network {found.name}")
        await _save(host, record, mode="networks", endpoints=left)


def _named(record: Record) -> tuple[EndpointSpec, ...]:
    wanted = record.container.spec.network
    return wanted.endpoints or ((EndpointSpec(network=wanted.mode),) if wanted.mode in ("bridge", "none") else ())


def _listed(mode: str) -> str:
    return "networks" if mode in ("bridge", "networks") else mode


async def _save(host: Host, record: Record, **fields: Any) -> None:
    spec = record.container.spec
    wanted = msgspec.structs.replace(spec.network, **fields)
    record.replace(spec=msgspec.structs.replace(spec, network=wanted))
    await host.save(record)
