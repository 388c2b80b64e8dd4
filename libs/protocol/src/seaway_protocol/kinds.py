"""The words the rest of the protocol is written in: Message, Call, Event, Flow, Interface; Bucket and Store.

Nothing here does I/O. `seaway_bus` carries what is declared here; permissions, the protocol page and the
event-order check are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, dataclass_transform

import msgspec

from seaway_protocol.errors import Error

WIRE = "sw1"
"""The wire's major version: the first token of every subject."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _MessageMeta(msgspec.StructMeta):
    """Tells the type checker what msgspec's class options mean; it doesn't inherit them by itself."""


class Message(msgspec.Struct, metaclass=_MessageMeta, frozen=True, kw_only=True, omit_defaults=True):
    """A payload: a msgpack map of field names.

    Unknown fields are ignored. A field added later has a default. No field is retyped or renamed.
    """


class Empty(Message):
    """Nothing to say."""


Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)
Payload = TypeVar("Payload", bound=Message)

Reach = Literal["host", "fleet", "everyone", "leader"]
"""Which hosts' services an interface's subject addresses."""

Role = Literal["member", "controller", "hub"]
"""What a host of a fleet may: answer, ask other hosts too, keep the fleet's memory too."""


@dataclass(frozen=True, eq=False)
class Call(Generic[Request, Reply]):
    """A question with one answer.

    `changes` marks a call that changes something: it travels with an idempotency key, and a receiver that
    has answered that key before gives the same answer again instead of acting twice.
    `seconds` is the deadline where the caller states none.
    """

    name: str
    request: type[Request]
    reply: type[Reply]
    raises: tuple[type[Error], ...] = ()
    changes: bool = False
    seconds: float = 10.0
    doc: str = ""
    interface: Interface = field(init=False, repr=False)

    def subject(self, **address: str) -> str:
        """The subject this call is sent to, e.g. `sw1.cmd.n1.shim.ab12.start`."""
        return f"{self.interface.address(**address)}.{self.name}"


@dataclass(frozen=True, eq=False)
class Event(Generic[Payload]):
    """Something that has happened, published on `sw1.evt.<node>.<type>.<action>.<id>`.

    `name` is `<type>.<action>`. `after` names the event that must have been published before it for the same
    id. A `durable` event is kept by one of the host's streams and can be read again from a cursor or a time:
    `kept_in` is `evt`, or `audit`, from which nobody can delete, and then stands in the subject in its place.
    """

    name: str
    payload: type[Payload]
    after: str | None = None
    durable: bool = True
    doc: str = ""
    kept_in: Literal["evt", "audit"] = "evt"
    interface: Interface = field(init=False, repr=False)

    def subject(self, node: str, id: str) -> str:
        """The subject one occurrence is published on; `id` may be `*` to subscribe."""
        return f"{WIRE}.{self.kept_in}.{node}.{self.name}.{id}"


@dataclass(frozen=True, eq=False)
class Flow:
    """A credit-based run of bytes, opened by a call that carries its name.

    The caller allots the flow's name, so that it can listen before it asks. `toward` says where the bytes go:
    `"caller"` (output, logs, archives) or `"server"` (stdin, uploads). Chunks carry a channel number, 0 where
    there is only one.
    """

    name: str
    opened_by: str
    toward: str
    doc: str = ""
    interface: Interface = field(init=False, repr=False)


@dataclass(frozen=True, eq=False)
class Interface:
    """Everything one service answers and announces. `subject` is a template of `{node}` and perhaps `{id}`.

    `reach` says who may be asked: services of one's own host alone ("host"), the same of any host of the fleet
    ("fleet"), every host at once, each of which answers ("everyone"), or whichever host leads ("leader"); the subjects
    of the last two name no node. `asked_by` is what a host must be at least in order to ask another host's.

    Each declaration belongs to one interface, which it learns here: `shim.start.interface is SHIM`.
    """

    name: str
    version: int
    subject: str
    calls: tuple[Call[Message, Message], ...] | tuple[Call[object, object], ...] = ()  # type: ignore[type-var]
    events: tuple[Event[Message], ...] | tuple[Event[object], ...] = ()  # type: ignore[type-var]
    flows: tuple[Flow, ...] = ()
    doc: str = ""
    reach: Reach = "host"
    asked_by: Role = "controller"

    if TYPE_CHECKING:
        # Declarations are generic in their payloads and invariant; a tuple of them has no common type to name.
        def __init__(
            self,
            name: str,
            version: int,
            subject: str,
            calls: tuple[object, ...] = (),
            events: tuple[object, ...] = (),
            flows: tuple[Flow, ...] = (),
            doc: str = "",
            reach: Reach = "host",
            asked_by: Role = "controller",
        ) -> None: ...

    def __post_init__(self) -> None:
        """Tell each declaration where it belongs; a declaration of two interfaces is a mistake."""
        for declaration in (*self.calls, *self.events, *self.flows):
            if "interface" in vars(declaration):
                raise ValueError(f"{declaration.name} is declared by two interfaces")
            object.__setattr__(declaration, "interface", self)

    def address(self, **address: str) -> str:
        """The subject template filled in. Raises ValueError where a part is missing or isn't a plain token."""
        for part in self.parts():
            if not _is_token(word := address.get(part, "")):
                raise ValueError(f"cannot address {self.name}: {part} is {word!r}, not a subject token")
        return self.subject.format(**address)

    def parts(self) -> Iterator[str]:
        """The names in the subject template: `node`, perhaps `id`."""
        return (name for _, name, _, _ in Formatter().parse(self.subject) if name)


@dataclass(frozen=True, eq=False)
class Bucket(Generic[Payload]):
    """Values of one type that the fleet remembers, by key; its hub keeps them on disk.

    Hosts whose role is `read` or more may read it. `write` says who may write: hubs alone, or each host its `own` key
    too. `history` is how many values of a key are kept; `seconds` after which a value is forgotten that isn't written
    again (0: never); `max_bytes` is refused to be exceeded.
    """

    name: str
    value: type[Payload]
    read: Role = "member"
    write: Literal["own", "hub"] = "hub"
    seconds: float = 0
    history: int = 1
    max_bytes: int = 64 * 1024 * 1024
    doc: str = ""


@dataclass(frozen=True, eq=False)
class Store:
    """Files that the fleet remembers, by name; its hub keeps them on disk. Who reads and writes is as for a bucket."""

    name: str
    read: Role = "member"
    write: Literal["hub"] = "hub"
    max_bytes: int = 4 * 1024 * 1024 * 1024
    doc: str = ""


def _is_token(word: str) -> bool:
    """Whether a word is one token of a NATS subject that names somebody; `*` stands for anybody when subscribing."""
    return word == "*" or (word.isascii() and word.replace("-", "").replace("_", "").isalnum())


def flow_subject(node: str, owner: str, flow: str, kind: str) -> str:
    """`sw1.io.<node>.<owner>.<flow>.<data|ctl>`; the owner is a container's id or a service's name."""
    return f"{WIRE}.io.{node}.{owner}.{flow}.{kind}"


ANSWERS = f"{WIRE}.ans"
"""What crosses from host to host is answered below it."""

ANYONE = "_"
"""In a reply subject in the place of the answering node, where any may answer; no node has such a name."""


def answers_subject(asker: str, principal: str, process: str) -> str:
    """Below it one process hears the answers of other hosts: `sw1.ans.<asking node>.<principal>.<process>`.

    Then come the request's number and the answering node: the asking host alone may listen there, and the answering
    host alone may speak, since its name stands last. Whoever asks hosts whose names it doesn't know says `ANYONE`
    there, and each host that answers puts its own name in its place.
    """
    return f"{ANSWERS}.{asker}.{principal}.{process}"
