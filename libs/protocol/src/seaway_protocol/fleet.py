"""What a host's fleet service answers: its place in the fleet, what runs there, and a way to its engine.

Three addresses: one host (`sw1.cmd.<node>.fleet`), all hosts at once (`sw1.all.fleet`), and whoever leads
(`sw1.ctl.fleet`). A host that is in no fleet answers the first alone.
"""

from __future__ import annotations

from typing import Any

from seaway_protocol.actor import Actor
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.kinds import Call, Empty, Flow, Interface, Message
from seaway_protocol.types import PortBinding

# --- membership ------------------------------------------------------------------------------------------------------


class Membership(Message):
    """A host's place in the fleet.

    `role` is "" where it is in none, `controller` where it may ask other hosts, `member` where it only answers.
    `hub` says that it runs one of the fleet's servers; `addresses` are where those take hosts, `host:port`.
    `connected` is whether the fleet can be reached now, `leader` the node that leads, as far as this host knows.
    """

    node: str
    fleet: str = ""
    role: str = ""
    hub: bool = False
    addresses: tuple[str, ...] = ()
    connected: bool = False
    leader: str = ""


class Init(Message):
    """A new fleet, with this host as its first. `address` is where other hosts reach it, `host[:port]`."""

    fleet: str
    address: str


class Join(Message):
    """This host joins a fleet. `token` is what `seaway fleet token` gave there.

    `address` is a hub's, where it isn't to be one that the token says; `own` is where this host is reached, which one
    that is to be a hub must say.
    """

    token: str
    address: str = ""
    own: str = ""


class Leave(Message):
    """This host leaves its fleet; with `force` also where nobody can be told, who then has to evict it."""

    force: bool = False


class NewToken(Message):
    """A token that lets a host join within `seconds`, any number of hosts unless `once`."""

    role: str = "controller"
    seconds: int = 3600
    once: bool = True
    hub: bool = False


class Token(Message):
    """What a person carries to the joining host. `expires` is a time."""

    token: str
    expires: int


class Node(Message):
    """A host by its name in the fleet."""

    node: str


class Versions(Message):
    """What a host runs: service to version; `protocol` is the digest of what its fleet service speaks."""

    services: dict[str, str] = {}
    protocol: str = ""


class Host(Message):
    """A host as it says of itself. `load` is the one-minute load average times 1000; memory in bytes.

    `state` is ready or draining; `labels` are its operator's.
    """

    node: str
    address: str = ""
    role: str = ""
    hub: bool = False
    labels: dict[str, str] = {}
    state: str = "ready"
    versions: Versions = Versions()
    kernel: str = ""
    system: str = ""
    architecture: str = ""
    cpus: int = 0
    memory: int = 0
    memory_available: int = 0
    load: int = 0
    since: int = 0
    running: int = 0
    paused: int = 0
    stopped: int = 0
    unhealthy: int = 0
    images: int = 0


class Seen(Message):
    """A host that the fleet knows, and when it was last heard of. `lost` says that its lease has run out."""

    host: Host
    at: int
    lost: bool = False


class Roster(Message):
    """Every host that has joined and wasn't evicted, by name."""

    hosts: tuple[Seen, ...] = ()


# --- asked of all hosts ----------------------------------------------------------------------------------------------


class Selection(Message):
    """Which hosts are meant: those with all `labels` (`key` or `key=value`) and, where `nodes` are given, of these.

    A host that isn't meant answers with `meant=False`, so that nobody waits for it.
    """

    nodes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Ask(Message):
    """What is asked of every host that is meant."""

    on: Selection = Selection()


class AskContainers(Message):
    """Containers, those that don't run too with `all` or `statuses`, with all `labels` (`key` or `key=value`).

    `names` are parts of names, `images` references, of which one must fit; `limit` 0 is none. `after` is the id of
    the last container of the page before.
    """

    on: Selection = Selection()
    all: bool = False
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    limit: int = 0
    after: str = ""


class AskImages(Message):
    """Images, those with one of the `names` (references, or parts of them) where any are given.

    `after` is the id of the last image of the page before.
    """

    on: Selection = Selection()
    names: tuple[str, ...] = ()
    after: str = ""


class AskEvents(Message):
    """What has happened from `since` until `until`, which are times. `after` is the cursor of the page before."""

    since: int
    until: int
    on: Selection = Selection()
    after: int = 0


class HostReport(Message):
    """A host, now."""

    node: str
    meant: bool = True
    host: Host | None = None


class ContainerBrief(Message, gc=False):
    """A container in a few words: a thousand hosts send theirs at once. `health` is "" where nothing is checked.

    `exposed` are ports as `80/tcp`; `addresses` are those in its networks, by the network's name.
    """

    id: str
    name: str
    image: str
    image_id: str = ""
    command: str = ""
    created_at: int = 0
    status: str = "created"
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    health: str = ""
    labels: dict[str, str] = {}
    ports: tuple[PortBinding, ...] = ()
    exposed: tuple[str, ...] = ()
    addresses: dict[str, str] = {}


class HostContainers(Message):
    """A host's containers, newest first. `more` says that there are more than a message carries."""

    node: str
    meant: bool = True
    containers: tuple[ContainerBrief, ...] = ()
    more: bool = False


class ImageBrief(Message, gc=False):
    """An image in a few words. `containers` is how many are made of it."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    created_at: int = 0
    size: int = 0
    containers: int = 0


class HostImages(Message):
    """A host's images, newest first. `more` says that there are more than a message carries."""

    node: str
    meant: bool = True
    images: tuple[ImageBrief, ...] = ()
    more: bool = False


class Happened(Message):
    """An event that was kept: its name, what it is about, and its payload's fields. `at` is when it was told."""

    event: str
    id: str
    at: int
    fields: dict[str, Any] = {}


class HostEvents(Message):
    """What has happened on a host, in order. `more` says that there is more than a message carries, after `cursor`."""

    node: str
    meant: bool = True
    events: tuple[Happened, ...] = ()
    more: bool = False
    cursor: int = 0


class HostUsage(Message):
    """What a host's disk is used for, in bytes, and how many there are of each."""

    node: str
    meant: bool = True
    images: int = 0
    image_bytes: int = 0
    containers: int = 0
    container_bytes: int = 0
    volumes: int = 0
    volume_bytes: int = 0
    disk_bytes: int = 0
    disk_free: int = 0


# --- a way to another host's engine ----------------------------------------------------------------------------------


class Dial(Message):
    """Open a connection to this host's Engine API; its bytes go through two flows whose names the caller chose.

    The flows belong to `fleet.<node>`, where `node` is the caller's host: its credential alone lets it read and write
    there, so nothing is done for who names another one. `actor` is who asks, as that host's daemon knows them.
    """

    actor: Actor
    node: str
    requests: str
    answers: str


_AWAY = (Unavailable, PermissionDenied)

membership = Call("membership", Empty, Membership, doc="say what place this host has in the fleet")
init = Call(
    "init",
    Init,
    Membership,
    raises=(Conflict, InvalidArgument, Unavailable),
    changes=True,
    seconds=60,
    doc="make a new fleet with this host as its hub",
)
join = Call(
    "join",
    Join,
    Membership,
    raises=(Conflict, InvalidArgument, *_AWAY),
    changes=True,
    seconds=120,
    doc="join a fleet",
)
leave = Call(
    "leave", Leave, Membership, raises=(Conflict, Unavailable), changes=True, seconds=60, doc="leave the fleet"
)
roster = Call("roster", Empty, Roster, raises=_AWAY, doc="list the hosts that the fleet knows")
dial = Call(
    "dial",
    Dial,
    Empty,
    raises=(InvalidArgument, *_AWAY),
    changes=True,
    doc="connect to this host's Engine API",
)

more_containers = Call("more_containers", AskContainers, HostContainers, doc="list this host's containers on")
more_images = Call("more_images", AskImages, HostImages, doc="list this host's images on")
more_events = Call("more_events", AskEvents, HostEvents, doc="tell what has happened on this host on")

FLEET = Interface(
    name="fleet",
    version=1,
    subject="sw1.cmd.{node}.fleet",
    calls=(membership, init, join, leave, roster, dial, more_containers, more_images, more_events),
    flows=(
        Flow("requests", opened_by="dial", toward="server", doc="what the client sends to the engine"),
        Flow("answers", opened_by="dial", toward="caller", doc="what the engine sends back"),
    ),
    doc="one host's presence in the fleet",
    reach="fleet",
)

describe = Call("describe", Ask, HostReport, doc="every host says how it is")
containers = Call("containers", AskContainers, HostContainers, doc="every host lists its containers")
images = Call("images", AskImages, HostImages, doc="every host lists its images")
usage = Call("usage", Ask, HostUsage, seconds=30, doc="every host says what its disk is used for")
events = Call("events", AskEvents, HostEvents, seconds=30, doc="every host tells what has happened on it")

EVERYONE = Interface(
    name="everyone",
    version=1,
    subject="sw1.all.fleet",
    calls=(describe, containers, images, usage, events),
    doc="asked of all hosts of the fleet at once; each answers for itself",
    reach="everyone",
)

new_token = Call(
    "new_token",
    NewToken,
    Token,
    raises=(InvalidArgument, *_AWAY),
    changes=True,
    doc="make a token with which a host can join",
)
evict = Call(
    "evict",
    Node,
    Empty,
    raises=(NotFound, Conflict, *_AWAY),
    changes=True,
    doc="shut a host out of the fleet, for good",
)

LEADER = Interface(
    name="leader",
    version=1,
    subject="sw1.ctl.fleet",
    calls=(new_token, evict),
    doc="what only the host that leads the fleet answers",
    reach="leader",
)
