"""What conversations are about: all that a daemon needs to go on with one that another has begun.

They are read by other versions of the daemon, newer and older ones: fields are added with a default, and nothing is
renamed or retyped.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from seaway_protocol import audit, supervisor
from seaway_protocol.types import ExitStatus


class Topic(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """One conversation's subject. `hears` where the client talks too, and not only listens."""

    hears: ClassVar[bool] = False


class Copy(Topic, frozen=True, kw_only=True):
    """A flow of the supervisor's, as it comes: a log, an archive. The mark is the flow's offset."""

    flow: str
    framed: bool = False


class Attachment(Topic, frozen=True, kw_only=True):
    """A container's streams. In phase 0 its log so far, if there is such a flow, in phase 1 what comes; the mark is
    the offset in either flow.
    """

    hears: ClassVar[bool] = True
    container: str
    replay: str = ""
    output: str = ""
    stdin: str = ""
    terminal: bool = False
    detach: bytes = b""


class Execution(Topic, frozen=True, kw_only=True):
    """An exec. In phase 0 it is to be started, under `key`; in phase 1 its streams are copied, the mark is the offset
    of the output.
    """

    hears: ClassVar[bool] = True
    id: str
    container: str
    output: str
    stdin: str = ""
    terminal: bool = False
    detach: bytes = b""
    program: str = ""
    width: int = 0
    height: int = 0
    key: str = ""


class EventStream(Topic, frozen=True, kw_only=True):
    """What happens, by a query; after `cursor` where the query has no beginning. The mark is the cursor of the last
    event that was told.
    """

    query: str
    cursor: int | None = None


class StatsStream(Topic, frozen=True, kw_only=True):
    """A container's use of resources, every second. `memory` is the host's."""

    container: str
    memory: int


class Waiting(Topic, frozen=True, kw_only=True):
    """A container's end, and how the container was when it was asked for, at `begin`, nanoseconds of Unix time."""

    container: str
    condition: str
    begin: int
    idle: bool = False
    restart_count: int = 0
    finished_at: int = 0
    exit: ExitStatus | None = None


class Starting(Topic, frozen=True, kw_only=True):
    """A start, to be asked again under the same key. Nothing is said before its end."""

    wish: supervisor.Reference
    key: str


class Stopping(Topic, frozen=True, kw_only=True):
    """A stop or restart, to be asked again under the same key. Nothing is said before its end."""

    wish: supervisor.Stop
    key: str
    seconds: float
    restart: bool = False


class Pulling(Topic, frozen=True, kw_only=True):
    """A pull, to be asked again under the same key. The head goes with the first step, which makes it phase 1."""

    wish: supervisor.Pull
    key: str


class Tunnel(Topic, frozen=True, kw_only=True):
    """A connection to another host's engine: the two flows, and what goes into the first one before the client's
    bytes. The mark is the offset of the answers.
    """

    hears: ClassVar[bool] = True
    node: str
    requests: str
    answers: str
    head: bytes = b""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a record."""

    topic: Copy | Attachment | Execution | EventStream | StatsStream | Waiting | Starting | Stopping | Pulling | Tunnel
    chunked: bool = False
    noted: audit.Request | None = None
    """What the audit says of its beginning; None where it doesn't."""
