"""What the supervisor answers and announces: containers, execs, images, volumes.

It is the one source of truth on a host.
"""

from __future__ import annotations

from seaway_protocol.check import Checked
from seaway_protocol.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    NotModified,
    PermissionDenied,
    Unavailable,
    Unsupported,
)
from seaway_protocol.kinds import Call, Empty, Event, Flow, Interface, Message
from seaway_protocol.types import (
    Container,
    ContainerSpec,
    EndpointSpec,
    ExecState,
    ExitStatus,
    Health,
    Image,
    ProcessSpec,
    RegistryAuth,
    Resources,
    RestartPolicy,
    Volume,
)

# --- containers ------------------------------------------------------------------------------------------------------


class Create(Message):
    """A container to be. An empty name is chosen."""

    spec: ContainerSpec
    name: str = ""


class Created(Message):
    """Its id, and what the client should be warned of."""

    id: str
    warnings: tuple[str, ...] = ()


class Reference(Message):
    """A container by id, unambiguous beginning of an id, or name."""

    container: str
    size: bool = False


class ListContainers(Message):
    """All containers, those that don't run too; `size` counts the bytes of each writable layer.

    A thousand containers don't fit one message: the answer is a page, and `after` is the id of the last container of
    the page before; the page after one that has been removed meanwhile begins with what was created before it.
    """

    size: bool = False
    after: str = ""


class Containers(Message):
    """Newest first. `more` says that the page was cut to what a message carries."""

    containers: tuple[Container, ...] = ()
    more: bool = False


class Stop(Message):
    """`signal` "" and `seconds` None mean the container's own; seconds -1 waits for ever."""

    container: str
    signal: str = ""
    seconds: int | None = None


class Kill(Message):
    """A signal by name or number to the container's first process; "" means SIGKILL."""

    container: str
    signal: str = ""


class Rename(Message):
    """A new name."""

    container: str
    name: str


class Remove(Message):
    """`force` kills it first; `volumes` removes its anonymous volumes too."""

    container: str
    force: bool = False
    volumes: bool = False


class Update(Message):
    """New limits and a new restart policy; None stays as it is."""

    container: str
    resources: Resources | None = None
    restart: RestartPolicy | None = None


class Updated(Message):
    """What the client should be warned of."""

    warnings: tuple[str, ...] = ()


class ExecCreate(Message):
    """One more process in a container that runs."""

    container: str
    process: ProcessSpec
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    origin: bytes = b""


class ExecReference(Message):
    """An exec by its id."""

    id: str


class Logs(Message):
    """A container's log, written to the flow `flow`: channel 1 and 2, whole lines as they were written.

    `tail` -1 is all; `since` and `until` are times. With `timestamps` each line begins with its time in RFC 3339 with
    nanoseconds and a space. With `details` the log's extra attributes come after that.
    """

    container: str
    flow: str
    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    tail: int = -1
    timestamps: bool = False
    details: bool = False


class LogsOpened(Message):
    """Whether the lines come from a terminal (then there is no channel 2)."""

    terminal: bool = False


class Prepare(Message):
    """See that a container has a shim, so that its streams can be attached to before it is started."""

    container: str


class Prepared(Message):
    """What an attacher must know."""

    id: str
    terminal: bool = False
    stdin_open: bool = False
    stdin_once: bool = False
    running: bool = False
    paused: bool = False


class Pruned(Message):
    """What was removed, and the bytes that freed."""

    removed: tuple[str, ...] = ()
    freed: int = 0


class ConnectNetwork(Message):
    """A container joins a network; one that doesn't run joins when it starts."""

    container: str
    endpoint: EndpointSpec


class DisconnectNetwork(Message):
    """A container leaves a network."""

    container: str
    network: str
    force: bool = False


# --- a container's files ---------------------------------------------------------------------------------------------


class PathReference(Message):
    """A path in a container, from its root. A `/` at its end wants a directory, `/.` what is in it."""

    container: str
    path: str


class PathStatus(Message):
    """What there is at a path, not followed where its last part is a link; `link` is where that leads.

    `mode` is stat(2)'s, the type included; `modified_at` is a time.
    """

    name: str
    size: int
    mode: int
    modified_at: int
    link: str = ""


class CopyOut(Message):
    """What is at a path, written to the flow `flow` as a tar stream."""

    container: str
    path: str
    flow: str


class CopyIn(Message):
    """A tar stream, plain or compressed, sent on `flow`, goes into the directory at `path`.

    `keep_kinds` refuses to replace a directory by something else and the reverse; with `as_user` everything becomes
    the container's user's, otherwise it keeps the owners that the archive says.
    """

    container: str
    path: str
    flow: str
    keep_kinds: bool = False
    as_user: bool = False


class Export(Message):
    """A container's root file system without what is mounted on it, written to the flow `flow` as a tar stream."""

    container: str
    flow: str


class Diff(Message):
    """What a container has changed, written to the flow `flow` as JSON lines `["A", "/path"]`, sorted by path.

    A is added, C changed, D deleted.
    """

    container: str
    flow: str


# --- what a shim tells -----------------------------------------------------------------------------------------------


class Report(Message):
    """What happened to container `id`: `kind` is started, exited, oom, health, exec_started or exec_exited.

    `sequence` numbers a shim's reports from 1, so that one told twice counts once. `restarting` says that the shim
    will start it again by its policy; `stopped` that somebody wanted the end.
    """

    id: str
    kind: str
    sequence: int
    at: int
    pid: int = 0
    exit: ExitStatus | None = None
    restarting: bool = False
    restart_count: int = 0
    health: Health | None = None
    exec: str = ""
    text: str = ""
    stopped: bool = False


# --- images ----------------------------------------------------------------------------------------------------------


class Pull(Message):
    """`reference` as a person writes it, `busybox` or `registry:5000/a/b:tag` or `…@sha256:…`.

    Progress comes on the flow as JSON lines of `types.Progress`.
    """

    reference: str
    platform: str = ""
    auth: RegistryAuth = RegistryAuth()
    all_tags: bool = False
    flow: str = ""


class Pulled(Message):
    """The image, its manifest's digest, and whether anything was new."""

    id: str
    digest: str
    reference: str
    changed: bool


class ImageReference(Message):
    """An image by name, id, or unambiguous beginning of an id."""

    image: str


class ListImages(Message):
    """`all` shows what is only a parent too; `containers` counts the containers of each.

    `after` asks for the page after the image of that id, as in `ListContainers`.
    """

    all: bool = False
    containers: bool = False
    after: str = ""


class Images(Message):
    """Newest first. `more` says that the page was cut to what a message carries."""

    images: tuple[Image, ...] = ()
    more: bool = False


class Tag(Message):
    """Another name for an image."""

    image: str
    reference: str


class RemoveImage(Message):
    """`force` untags and deletes what stopped containers use; `prune` (the default) deletes untagged parents too."""

    image: str
    force: bool = False
    prune: bool = True


class RemovedImage(Message):
    """In order: what was untagged (references and digests) and what was deleted (ids)."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


class PruneImages(Message):
    """`all` takes those with a name that no container uses; otherwise those without a name.

    `until` is a time; `labels` are `key` or `key=value`.
    """

    all: bool = False
    until: int = 0
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()


class Load(Message):
    """A docker-archive or OCI layout as a tar stream, plain or compressed, sent on `flow`; progress on `progress`."""

    flow: str
    progress: str = ""
    quiet: bool = False


class Loaded(Message):
    """References, or ids of images without one, in the order of the archive."""

    references: tuple[str, ...] = ()


class Import(Message):
    """A root file system as a tar stream on `flow` becomes an image of one layer.

    `changes` are Dockerfile instructions.
    """

    flow: str
    reference: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    platform: str = ""


class Imported(Message):
    """The new image's id."""

    id: str


class Save(Message):
    """Images as a docker-archive that is an OCI layout too, as a tar stream on `flow`."""

    images: tuple[str, ...]
    flow: str


# --- volumes ---------------------------------------------------------------------------------------------------------


class CreateVolume(Message):
    """A volume to be; one that is there already with the same driver is returned as it is. An empty name is chosen."""

    name: str = ""
    driver: str = "local"
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class VolumeReference(Message):
    """A volume by name."""

    name: str
    force: bool = False


class Volumes(Message):
    """All volumes."""

    volumes: tuple[Volume, ...] = ()


class ListVolumes(Message):
    """`sizes` counts bytes and references, which is slow."""

    sizes: bool = False


class PruneVolumes(Message):
    """`all` takes named ones too."""

    all: bool = False
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()


class PruneContainers(Message):
    """Containers that don't run; `until` is a time they were created before."""

    until: int = 0
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()


# --- the host --------------------------------------------------------------------------------------------------------


class Info(Message):
    """The host and the engine's numbers, for `docker info`."""

    node: str
    version: str
    hostname: str
    kernel: str
    operating_system: str
    os_version: str
    architecture: str
    cpus: int
    memory: int
    root_dir: str
    storage_driver: str
    backing_filesystem: str = ""
    cgroup_version: str = ""
    cgroup_driver: str = ""
    containers: int = 0
    running: int = 0
    paused: int = 0
    stopped: int = 0
    images: int = 0
    runtimes: tuple[str, ...] = ()
    default_runtime: str = ""
    log_drivers: tuple[str, ...] = ()
    log_driver: str = ""
    security: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    id: str = ""


class DiskUsage(Message):
    """What takes space: all layers together, and images, containers (with sizes) and volumes (with sizes)."""

    layers_size: int = 0
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()


class Check(Message):
    """`mend` settles what is found; `deep` reads every blob of every image, which takes long."""

    mend: bool = False
    deep: bool = False


# --- events ----------------------------------------------------------------------------------------------------------


class ContainerHappened(Message):
    """An event about a container. `attributes` are extra facts of this event: signal, exit code, old name, exec id.

    `at` is when it happened, here and in the other events; the bus's own time is when it was told.
    """

    name: str
    image: str
    labels: dict[str, str] = {}
    attributes: dict[str, str] = {}
    exit: ExitStatus | None = None
    at: int = 0


class ImageHappened(Message):
    """An event about an image: the name it was about, or its id."""

    name: str
    labels: dict[str, str] = {}
    at: int = 0


class VolumeHappened(Message):
    """An event about a volume; `container` and `target` where it was mounted."""

    driver: str = "local"
    container: str = ""
    target: str = ""
    read_only: bool = False
    at: int = 0


create = Call(
    "create",
    Create,
    Created,
    raises=(NotFound, Conflict, InvalidArgument, Unsupported),
    changes=True,
    seconds=60,
    doc="create a container",
)
inspect = Call("inspect", Reference, Container, raises=(NotFound, Conflict), doc="look at a container")
list_ = Call("list", ListContainers, Containers, doc="list the containers")
prepare = Call(
    "prepare",
    Prepare,
    Prepared,
    raises=(NotFound, Conflict, Unavailable),
    changes=True,
    doc="see that a container has a shim",
)
start = Call(
    "start",
    Reference,
    Empty,
    raises=(NotFound, NotModified, Conflict, InvalidArgument, Unavailable, PermissionDenied, Unsupported),
    changes=True,
    seconds=120,
    doc="start a container",
)
stop = Call("stop", Stop, Empty, raises=(NotFound, NotModified), changes=True, seconds=60, doc="stop a container")
restart = Call(
    "restart", Stop, Empty, raises=(NotFound, Conflict), changes=True, seconds=120, doc="restart a container"
)
kill = Call("kill", Kill, Empty, raises=(NotFound, Conflict, InvalidArgument), changes=True, doc="signal a container")
pause = Call("pause", Reference, Empty, raises=(NotFound, Conflict), changes=True, doc="freeze a container")
unpause = Call("unpause", Reference, Empty, raises=(NotFound, Conflict), changes=True, doc="thaw a container")
rename = Call(
    "rename", Rename, Empty, raises=(NotFound, Conflict, InvalidArgument), changes=True, doc="rename a container"
)
update = Call(
    "update",
    Update,
    Updated,
    raises=(NotFound, Conflict, InvalidArgument),
    changes=True,
    doc="change a container's limits and restart policy",
)
remove = Call("remove", Remove, Empty, raises=(NotFound, Conflict), changes=True, seconds=60, doc="remove a container")
prune = Call("prune", PruneContainers, Pruned, changes=True, seconds=300, doc="remove containers that don't run")
logs = Call(
    "logs",
    Logs,
    LogsOpened,
    raises=(NotFound, InvalidArgument, Unsupported),
    changes=True,
    doc="read a container's log",
)
exec_create = Call(
    "exec_create",
    ExecCreate,
    ExecReference,
    raises=(NotFound, Conflict, InvalidArgument),
    changes=True,
    doc="prepare one more process in a container",
)
exec_inspect = Call("exec_inspect", ExecReference, ExecState, raises=(NotFound,), doc="look at an exec")
connect_network = Call(
    "connect_network",
    ConnectNetwork,
    Empty,
    raises=(NotFound, Conflict, InvalidArgument),
    changes=True,
    doc="join a network",
)
disconnect_network = Call(
    "disconnect_network", DisconnectNetwork, Empty, raises=(NotFound, Conflict), changes=True, doc="leave a network"
)
path_status = Call(
    "path_status",
    PathReference,
    PathStatus,
    raises=(NotFound, InvalidArgument, Unavailable),
    seconds=60,
    doc="look at a path in a container",
)
copy_out = Call(
    "copy_out",
    CopyOut,
    PathStatus,
    raises=(NotFound, InvalidArgument, Unavailable),
    changes=True,
    seconds=60,
    doc="read files of a container",
)
copy_in = Call(
    "copy_in",
    CopyIn,
    Empty,
    raises=(NotFound, InvalidArgument, PermissionDenied, Unavailable),
    changes=True,
    seconds=3600,
    doc="put files into a container",
)
export = Call(
    "export",
    Export,
    Empty,
    raises=(NotFound, Unavailable),
    changes=True,
    seconds=60,
    doc="read a container's whole root file system",
)
diff = Call(
    "diff",
    Diff,
    Empty,
    raises=(NotFound, Unavailable),
    changes=True,
    seconds=300,
    doc="list what a container has changed in its files",
)
report = Call("report", Report, Empty, changes=True, doc="take a shim's report")

pull = Call(
    "pull",
    Pull,
    Pulled,
    raises=(NotFound, InvalidArgument, PermissionDenied, Unavailable, Unsupported),
    changes=True,
    seconds=3600,
    doc="pull an image",
)
image_list = Call("image_list", ListImages, Images, doc="list the images")
image_inspect = Call("image_inspect", ImageReference, Image, raises=(NotFound, Conflict), doc="look at an image")
image_tag = Call("image_tag", Tag, Empty, raises=(NotFound, InvalidArgument), changes=True, doc="name an image")
image_remove = Call(
    "image_remove",
    RemoveImage,
    RemovedImage,
    raises=(NotFound, Conflict),
    changes=True,
    seconds=120,
    doc="untag, and delete what has no name left",
)
image_prune = Call("image_prune", PruneImages, Pruned, changes=True, seconds=600, doc="delete images nobody uses")
image_load = Call(
    "image_load",
    Load,
    Loaded,
    raises=(InvalidArgument, Unsupported),
    changes=True,
    seconds=3600,
    doc="read an archive of images",
)
image_import = Call(
    "image_import",
    Import,
    Imported,
    raises=(InvalidArgument, Unsupported),
    changes=True,
    seconds=3600,
    doc="make an image of a file tree",
)
image_save = Call(
    "image_save", Save, Empty, raises=(NotFound,), changes=True, seconds=3600, doc="write an archive of images"
)

volume_create = Call(
    "volume_create",
    CreateVolume,
    Volume,
    raises=(Conflict, InvalidArgument, Unsupported),
    changes=True,
    doc="make a volume",
)
volume_inspect = Call("volume_inspect", VolumeReference, Volume, raises=(NotFound,), doc="look at a volume")
volume_list = Call("volume_list", ListVolumes, Volumes, seconds=60, doc="list the volumes")
volume_remove = Call(
    "volume_remove",
    VolumeReference,
    Empty,
    raises=(NotFound, Conflict),
    changes=True,
    doc="remove a volume nobody uses",
)
volume_prune = Call("volume_prune", PruneVolumes, Pruned, changes=True, seconds=300, doc="remove volumes nobody uses")

info = Call("info", Empty, Info, doc="describe the host and the engine")
check = Call(
    "check",
    Check,
    Checked,
    raises=(Unavailable,),
    changes=True,
    seconds=900,
    doc="compare what is recorded on this host with what is there",
)
disk_usage = Call("disk_usage", Empty, DiskUsage, seconds=120, doc="measure what takes space")

container_created = Event("container.created", ContainerHappened)
container_attached = Event("container.attached", ContainerHappened, after="container.created")
container_started = Event("container.started", ContainerHappened, after="container.created")
container_killed = Event("container.killed", ContainerHappened, after="container.started")
container_stopped = Event("container.stopped", ContainerHappened, after="container.exited")
container_exited = Event("container.exited", ContainerHappened, after="container.started")
container_restarted = Event("container.restarted", ContainerHappened, after="container.started")
container_paused = Event("container.paused", ContainerHappened, after="container.started")
container_unpaused = Event("container.unpaused", ContainerHappened, after="container.paused")
container_renamed = Event("container.renamed", ContainerHappened, after="container.created")
container_updated = Event("container.updated", ContainerHappened, after="container.created")
container_oom = Event("container.oom", ContainerHappened, after="container.started")
container_health = Event("container.health", ContainerHappened, after="container.started")
container_resized = Event("container.resized", ContainerHappened, after="container.started")
container_copied_out = Event("container.copied_out", ContainerHappened, after="container.created")
container_copied_in = Event("container.copied_in", ContainerHappened, after="container.created")
container_exported = Event("container.exported", ContainerHappened, after="container.created")
container_removed = Event("container.removed", ContainerHappened, after="container.created")
exec_created = Event("container.exec_created", ContainerHappened, after="container.started")
exec_started = Event("container.exec_started", ContainerHappened, after="container.exec_created")
exec_exited = Event("container.exec_exited", ContainerHappened, after="container.exec_started")

image_pulled = Event("image.pulled", ImageHappened)
image_loaded = Event("image.loaded", ImageHappened)
image_imported = Event("image.imported", ImageHappened)
image_saved = Event("image.saved", ImageHappened)
image_tagged = Event("image.tagged", ImageHappened)
image_untagged = Event("image.untagged", ImageHappened)
image_deleted = Event("image.deleted", ImageHappened)

volume_created = Event("volume.created", VolumeHappened)
volume_mounted = Event("volume.mounted", VolumeHappened, after="volume.created")
volume_unmounted = Event("volume.unmounted", VolumeHappened, after="volume.mounted")
volume_removed = Event("volume.removed", VolumeHappened, after="volume.created")

logs_flow = Flow("logs", opened_by="logs", toward="caller", doc="log lines, channel 1 (stdout) and 2 (stderr)")
progress_flow = Flow("progress", opened_by="pull", toward="caller", doc="JSON lines of types.Progress")
load_flow = Flow("load", opened_by="image_load", toward="server", doc="a tar stream")
import_flow = Flow("import", opened_by="image_import", toward="server", doc="a tar stream")
copy_out_flow = Flow("copy_out", opened_by="copy_out", toward="caller", doc="a tar stream")
copy_in_flow = Flow("copy_in", opened_by="copy_in", toward="server", doc="a tar stream")
export_flow = Flow("export", opened_by="export", toward="caller", doc="a tar stream")
diff_flow = Flow("diff", opened_by="diff", toward="caller", doc="JSON lines, a kind and a path each")
save_flow = Flow("save", opened_by="image_save", toward="caller", doc="a tar stream")

SUPERVISOR = Interface(
    name="supervisor",
    version=1,
    subject="sw1.cmd.{node}.supervisor",
    calls=(
        create,
        inspect,
        list_,
        prepare,
        start,
        stop,
        restart,
        kill,
        pause,
        unpause,
        rename,
        update,
        remove,
        prune,
        logs,
        exec_create,
        exec_inspect,
        connect_network,
        disconnect_network,
        path_status,
        copy_out,
        copy_in,
        export,
        diff,
        report,
        pull,
        image_list,
        image_inspect,
        image_tag,
        image_remove,
        image_prune,
        image_load,
        image_import,
        image_save,
        volume_create,
        volume_inspect,
        volume_list,
        volume_remove,
        volume_prune,
        info,
        disk_usage,
        check,
    ),
    events=(
        container_created,
        container_attached,
        container_started,
        container_killed,
        container_stopped,
        container_exited,
        container_restarted,
        container_paused,
        container_unpaused,
        container_renamed,
        container_updated,
        container_oom,
        container_health,
        container_resized,
        container_copied_out,
        container_copied_in,
        container_exported,
        container_removed,
        exec_created,
        exec_started,
        exec_exited,
        image_pulled,
        image_loaded,
        image_imported,
        image_saved,
        image_tagged,
        image_untagged,
        image_deleted,
        volume_created,
        volume_mounted,
        volume_unmounted,
        volume_removed,
    ),
    flows=(
        logs_flow,
        progress_flow,
        load_flow,
        import_flow,
        save_flow,
        copy_out_flow,
        copy_in_flow,
        export_flow,
        diff_flow,
    ),
    doc="containers, execs, images and volumes of one host",
)
