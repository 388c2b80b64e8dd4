"""The runtime's face on the bus: RUNTIME, call by call. The only module here that knows the protocol."""

from __future__ import annotations

import asyncio
import os

import msgspec
from seaway_bus import Endpoints
from seaway_kernel.cgroup import Groups
from seaway_oci import runtime_spec as oci
from seaway_protocol import runtime
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unsupported
from seaway_protocol.kinds import Empty
from seaway_protocol.plan import LaunchPlan
from seaway_protocol.types import Resources

from seaway_runtime import counters, features, limits_update, ps, usage
from seaway_runtime.errors import Invalid, NotSupported
from seaway_runtime.plan import Host, Plan, plan_container, plan_exec
from seaway_runtime.plan.rootfs import Layers

REMOVAL_SECONDS = 8.0
"""How long the processes of a group that is deleted may take to die; below the call's own deadline."""


class Runtime:
    """Answers RUNTIME. Keeps nothing but what it knows of the host."""

    endpoints = Endpoints()

    def __init__(self, host: Host) -> None:
        self._host = host
        self._groups = Groups(host.hierarchies)

    @endpoints.on(runtime.plan)
    async def plan(self, request: runtime.Plan) -> runtime.Planned:
        """Turn a bundle into a launch plan."""
        layers = Layers(request.lower, request.upper, request.work)
        try:
            spec = oci.decode(request.config)
            return _planned(plan_container(request.id, spec, request.bundle, self._host, layers))
        except (Invalid, ValueError) as error:
            raise InvalidArgument(f"cannot plan container {request.id}: {error}") from error
        except NotSupported as error:
            raise Unsupported(str(error)) from error

    @endpoints.on(runtime.plan_exec)
    async def plan_exec(self, request: runtime.PlanExec) -> runtime.Planned:
        """Plan one more process."""
        try:
            spec, process = oci.decode(request.config), oci.decode_process(request.process)
            return _planned(plan_exec(request.id, request.pid, process, spec, self._host))
        except (Invalid, ValueError) as error:
            raise InvalidArgument(f"cannot plan an exec in container {request.id}: {error}") from error
        except NotSupported as error:
            raise Unsupported(str(error)) from error

    @endpoints.on(runtime.pause)
    async def pause(self, request: runtime.Group) -> Empty:
        """Freeze a group."""
        self._need(request.cgroup)
        try:
            await asyncio.to_thread(self._groups.freeze, request.cgroup)
        except TimeoutError as error:
            raise Conflict(f"cannot freeze {request.cgroup}: its processes don't stand still") from error
        return Empty()

    @endpoints.on(runtime.resume)
    async def resume(self, request: runtime.Group) -> Empty:
        """Thaw a group."""
        self._need(request.cgroup)
        self._groups.thaw(request.cgroup)
        return Empty()

    @endpoints.on(runtime.update)
    async def update(self, request: runtime.Update) -> Empty:
        """Change a group's limits."""
        self._need(request.cgroup)
        try:
            limits_update.apply(self._groups, request.cgroup, _resources(request.resources), self._host)
        except (Invalid, NotSupported) as error:
            raise InvalidArgument(f"cannot update {request.cgroup}: {error}") from error
        return Empty()

    @endpoints.on(runtime.kill)
    async def kill(self, request: runtime.Kill) -> Empty:
        """Signal every process of a group."""
        self._need(request.cgroup)
        try:
            self._groups.kill(request.cgroup, request.signal)
        except PermissionError as error:
            raise PermissionDenied(f"cannot signal the processes of {request.cgroup}: permission denied") from error
        return Empty()

    @endpoints.on(runtime.delete)
    async def delete(self, request: runtime.Group) -> Empty:
        """Kill what is left in a group and remove it."""
        if request.cgroup.strip("/") in ("", "."):
            raise Conflict("cannot delete the cgroup /: it isn't a container's")
        if not self._groups.exists(request.cgroup):
            return Empty()
        try:
            await asyncio.to_thread(self._groups.remove, request.cgroup, REMOVAL_SECONDS)
        except TimeoutError as error:
            left = " ".join(map(str, self._groups.pids(request.cgroup)))
            raise Conflict(f"cannot delete the cgroup {request.cgroup}: processes {left} don't die") from error
        return Empty()

    @endpoints.on(runtime.top)
    async def top(self, request: runtime.Top) -> runtime.Processes:
        """List a group's processes with ps."""
        self._need(request.cgroup)
        pids = self._groups.pids(request.cgroup)
        try:
            titles, rows = await asyncio.to_thread(ps.run, request.arguments, pids)
        except (Invalid, NotSupported) as error:
            raise InvalidArgument(str(error)) from error
        return runtime.Processes(titles=titles, rows=rows)

    @endpoints.on(runtime.state)
    async def state(self, request: runtime.Group) -> runtime.GroupState:
        """Look at a group."""
        if not self._groups.exists(request.cgroup):
            return runtime.GroupState()
        return runtime.GroupState(
            exists=True,
            frozen=self._groups.frozen(request.cgroup),
            pids=self._groups.pids(request.cgroup),
            oom_kills=self._groups.oom_kills(request.cgroup),
        )

    @endpoints.on(runtime.list_)
    async def list_(self, request: runtime.Group) -> runtime.Members:
        """The groups directly below a group."""
        below = [f"{request.cgroup.rstrip('/')}/{name}" for name in self._groups.children(request.cgroup)]
        return runtime.Members(
            groups=tuple(
                runtime.Member(
                    name=group.rpartition("/")[2],
                    frozen=self._groups.frozen(group),
                    processes=len(self._groups.pids(group)),
                )
                for group in below
            )
        )

    @endpoints.on(runtime.stats)
    async def stats(self, request: runtime.Group) -> runtime.Stats:
        """Read a group's counters."""
        self._need(request.cgroup)
        return runtime.Stats(
            at=counters.now(),
            counters=counters.read(self._groups, request.cgroup),
            online_cpus=counters.online_cpus(),
            system_cpu_ns=counters.system_cpu_ns(),
        )

    @endpoints.on(runtime.usage)
    async def usage(self, request: runtime.Groups) -> runtime.Usages:
        """Say what several groups use; beside the loop, since reading takes half a millisecond a group."""
        return runtime.Usages(groups=await asyncio.to_thread(self._usages, request.cgroups))

    def _usages(self, cgroups: tuple[str, ...]) -> dict[str, runtime.Usage]:
        found = {group: counters.read(self._groups, group) for group in cgroups if self._groups.exists(group)}
        return {group: usage.summary(each) for group, each in found.items()}

    @endpoints.on(runtime.features)
    async def features(self, request: Empty) -> runtime.FeaturesReply:
        """What this runtime and kernel can do."""
        return runtime.FeaturesReply(
            features=features.encoded(),
            cgroup_version=self._groups.version,
            warnings=features.warnings(self._groups),
            seccomp=self._host.compile_seccomp is not None,
        )

    def _need(self, group: str) -> None:
        if group.strip("/") in ("", ".") or not self._groups.exists(group):
            raise NotFound(f"cannot find the cgroup {group or '(none)'}")


def _planned(plan: Plan) -> runtime.Planned:
    return runtime.Planned(plan=msgspec.convert(plan, LaunchPlan, from_attributes=True))


def _resources(wanted: Resources) -> oci.Resources:
    """The protocol's limits as the specification's; what isn't given stays None."""
    quota, period = wanted.cpu_quota or None, wanted.cpu_period or None
    if wanted.nano_cpus:
        period = 100_000
        quota = wanted.nano_cpus * period // 1_000_000_000
    return oci.Resources(
        memory=oci.Memory(
            limit=wanted.memory or None,
            swap=wanted.memory_swap or None,
            reservation=wanted.memory_reservation or None,
            swappiness=wanted.memory_swappiness,
            disable_oom_killer=wanted.oom_kill_disable,
        ),
        cpu=oci.CPU(
            shares=wanted.cpu_shares or None,
            quota=quota,
            period=period,
            realtime_period=wanted.cpu_rt_period or None,
            realtime_runtime=wanted.cpu_rt_runtime or None,
            cpus=wanted.cpuset_cpus,
            mems=wanted.cpuset_mems,
        ),
        pids=oci.Pids(limit=wanted.pids) if wanted.pids else None,
        block_io=oci.BlockIO(
            weight=wanted.blkio_weight or None,
            throttle_read_bps_device=_throttles(wanted.blkio_read_bps),
            throttle_write_bps_device=_throttles(wanted.blkio_write_bps),
            throttle_read_iops_device=_throttles(wanted.blkio_read_iops),
            throttle_write_iops_device=_throttles(wanted.blkio_write_iops),
        ),
    )


def _throttles(wanted: tuple[object, ...]) -> tuple[oci.ThrottleDevice, ...]:
    return tuple(_throttle(getattr(each, "path", ""), getattr(each, "rate", 0)) for each in wanted)


def _throttle(path: str, rate: int) -> oci.ThrottleDevice:
    try:
        number = os.stat(path).st_rdev
    except OSError as error:
        raise InvalidArgument(f"cannot limit {path}: {(error.strerror or '').lower()}") from error
    return oci.ThrottleDevice(major=os.major(number), minor=os.minor(number), rate=rate)
