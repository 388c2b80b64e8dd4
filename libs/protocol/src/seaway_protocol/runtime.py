"""What the runtime answers: an OCI bundle becomes a launch plan; groups of processes are paused, limited, counted.

The runtime keeps no state: a request carries the cgroup it is about, as the plan named it.
"""

from __future__ import annotations

from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unsupported
from seaway_protocol.kinds import Call, Empty, Interface, Message
from seaway_protocol.plan import LaunchPlan
from seaway_protocol.types import Resources


class Plan(Message):
    """`config` is an OCI runtime `config.json`; `bundle` the directory that relative paths in it are relative to.

    `overlay` lists the layers of the root file system, topmost first, mounted by a step inside the container's own
    mount namespace: then `root.path` of the config is only where. `upper` and `work` are overlayfs's; empty for a
    read-only stack.
    """

    id: str
    config: bytes
    bundle: str
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""


class Planned(Message):
    """The plan, ready to be executed by a shim."""

    plan: LaunchPlan


class PlanExec(Message):
    """One more process in a container that runs: `pid` is its first process, `process` an OCI `process` object as JSON,
    `config` the container's own `config.json` (namespaces, seccomp, cgroup).
    """

    id: str
    pid: int
    process: bytes
    config: bytes


class Group(Message):
    """A group of processes by its path below each hierarchy's mount, as `LaunchPlan.cgroup` has it."""

    cgroup: str


class Update(Message):
    """New limits; a field that is 0, "" or None stays as it is."""

    cgroup: str
    resources: Resources


class Kill(Message):
    """A signal to every process of the group."""

    cgroup: str
    signal: int


class Top(Message):
    """`arguments` are ps(1)'s."""

    cgroup: str
    arguments: tuple[str, ...] = ("-ef",)


class Processes(Message):
    """ps's table of the group's processes, numbered as the host sees them."""

    titles: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class GroupState(Message):
    """The group as the kernel has it: `pids` of all its processes, whether it is frozen, how often the OOM killer
    struck.
    """

    exists: bool = False
    frozen: bool = False
    pids: tuple[int, ...] = ()
    oom_kills: int = 0


class Member(Message):
    """A group directly below another: its own name, whether it is frozen, and how many processes it has."""

    name: str
    frozen: bool = False
    processes: int = 0


class Members(Message):
    """The groups directly below one, in any hierarchy, by name."""

    groups: tuple[Member, ...] = ()


class Stats(Message):
    """Counters of a group, in the names of cgroup v2 where they exist: `cpu.usage_ns`, `memory.current`,
    `memory.stat.<name>`, `pids.current`, `io.<major>:<minor>.rbytes`, `net.<interface>.rx_bytes`, …
    All monotonic counters, or bytes.
    """

    at: int
    counters: dict[str, int] = {}
    online_cpus: int = 0
    system_cpu_ns: int = 0


class Groups(Message):
    """Several groups by their paths, at most some hundreds: the answer has to fit into one message."""

    cgroups: tuple[str, ...]


class Usage(Message):
    """What a group uses, devices and interfaces added up; None for what its kernel doesn't count.

    Times are nanoseconds since the group was made; memory, reads and traffic are bytes, or counts of them.
    `working_set` is memory without file pages that aren't active. A limit that isn't set is None.
    """

    cpu_ns: int | None = None
    cpu_user_ns: int | None = None
    cpu_system_ns: int | None = None
    cpu_throttled_ns: int | None = None
    memory: int | None = None
    working_set: int | None = None
    memory_limit: int | None = None
    oom_kills: int | None = None
    processes: int | None = None
    processes_limit: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    received_packets: int | None = None
    sent_packets: int | None = None
    received_dropped: int | None = None
    sent_dropped: int | None = None


class Usages(Message):
    """What groups use, by their paths as they were asked for. A group that isn't there is left out."""

    groups: dict[str, Usage] = {}


class FeaturesReply(Message):
    """The OCI `features` document as JSON, and what the host's kernel offers."""

    features: bytes
    cgroup_version: int = 2
    cgroup_driver: str = "cgroupfs"
    warnings: tuple[str, ...] = ()
    seccomp: bool = False


plan = Call("plan", Plan, Planned, raises=(InvalidArgument, Unsupported), doc="turn a bundle into a launch plan")
plan_exec = Call(
    "plan_exec", PlanExec, Planned, raises=(InvalidArgument, NotFound, Unsupported), doc="plan one more process"
)
pause = Call("pause", Group, Empty, raises=(NotFound, Conflict), changes=True, doc="freeze a group")
resume = Call("resume", Group, Empty, raises=(NotFound, Conflict), changes=True, doc="thaw a group")
update = Call("update", Update, Empty, raises=(NotFound, InvalidArgument), changes=True, doc="change a group's limits")
kill = Call(
    "kill", Kill, Empty, raises=(NotFound, PermissionDenied), changes=True, doc="signal every process of a group"
)
delete = Call(
    "delete", Group, Empty, raises=(Conflict,), changes=True, doc="kill what is left in a group and remove it"
)
top = Call("top", Top, Processes, raises=(NotFound, InvalidArgument), doc="list a group's processes with ps")
state = Call("state", Group, GroupState, doc="look at a group")
list_ = Call("list", Group, Members, doc="the groups directly below a group")
stats = Call("stats", Group, Stats, raises=(NotFound,), doc="read a group's counters")
usage = Call("usage", Groups, Usages, doc="say what several groups use, for metrics")
features = Call("features", Empty, FeaturesReply, doc="say what this runtime and kernel can do")

RUNTIME = Interface(
    name="runtime",
    version=1,
    subject="sw1.cmd.{node}.runtime",
    calls=(plan, plan_exec, pause, resume, update, kill, delete, top, state, list_, stats, usage, features),
    doc="OCI: bundles become launch plans, cgroups are steered",
)
