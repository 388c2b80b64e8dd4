"""What lasts: networks, leases and published ports, in one SQLite file.

    state_dir/network/
    └── ipam.db
        ├── networks    id → name, bridge, record
        ├── sandboxes   container → record, ready
        ├── leases      (network, address) → container    a second holder is refused by the key itself
        ├── ports       (address, protocol, port) → container
        ├── facts       what was chosen once: the IPv6 prefix
        └── outbox      what has happened and isn't told yet, in order

Leases are durable against a crash of the service, which is all they need: namespaces don't outlive the host's kernel
either. Networks are durable against power loss.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from seaway_protocol.errors import Unavailable
from seaway_protocol.network import Network, NetworkHappened, SetUp
from seaway_protocol.types import Endpoint, PortBinding, Sandbox

_SCHEMA = """
CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, bridge TEXT, record BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS bridges ON networks (bridge) WHERE bridge != '';
CREATE TABLE IF NOT EXISTS sandboxes (container TEXT PRIMARY KEY, record BLOB NOT NULL, ready INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS leases (
    network TEXT NOT NULL, address TEXT NOT NULL, container TEXT NOT NULL, PRIMARY KEY (network, address)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_of ON leases (container);
CREATE TABLE IF NOT EXISTS ports (
    address TEXT NOT NULL, protocol TEXT NOT NULL, port INTEGER NOT NULL, container TEXT NOT NULL,
    PRIMARY KEY (address, protocol, port)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ports_of ON ports (container);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, network TEXT NOT NULL, payload BLOB NOT NULL,
    key TEXT NOT NULL);
"""


class Attachment(msgspec.Struct, frozen=True):
    """An endpoint and its cable: the host's end of the veth pair, "" where there is none.

    `default` marks the one whose gateway is the container's default route.
    """

    endpoint: Endpoint
    host_interface: str = ""
    default: bool = False


class Record(msgspec.Struct, frozen=True):
    """A sandbox as it is kept: what was asked for, and what was decided."""

    request: SetUp
    sandbox: Sandbox
    attachments: tuple[Attachment, ...] = ()


class StoredNetwork(msgspec.Struct, frozen=True):
    """A network and its bridge's name, "" where it has none."""

    network: Network
    bridge: str = ""


@dataclass(frozen=True)
class Untold:
    """Something that has happened to a network and isn't told yet; `key` makes telling it twice telling it once."""

    number: int
    what: str
    network: str
    payload: NetworkHappened
    key: str


class Store:
    """The file. Calls are short (a commit takes about 0.1 ms) and are made from one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def networks(self) -> list[StoredNetwork]:
        """Every network, oldest first."""
        rows = self._db.execute("SELECT record, bridge FROM networks ORDER BY rowid")
        return [StoredNetwork(msgspec.json.decode(record, type=Network), bridge or "") for record, bridge in rows]

    def add_network(self, stored: StoredNetwork) -> None:
        """Keep a new network, durably. sqlite3.IntegrityError where its id, name or bridge is taken."""
        network = stored.network
        row = (network.id, network.name, stored.bridge, msgspec.json.encode(network))
        with self._durable():
            self._db.execute("INSERT INTO networks (id, name, bridge, record) VALUES (?, ?, ?, ?)", row)

    def remove_network(self, id: str) -> None:
        """Forget a network."""
        with self._durable():
            self._db.execute("DELETE FROM networks WHERE id = ?", (id,))

    def sandboxes(self) -> list[tuple[Record, bool]]:
        """Every sandbox, and whether its set-up was finished."""
        rows = self._db.execute("SELECT record, ready FROM sandboxes ORDER BY rowid")
        return [(msgspec.json.decode(record, type=Record), bool(ready)) for record, ready in rows]

    def save(self, record: Record, *, ready: bool) -> None:
        """Keep a sandbox with its leases and ports, in place of what was kept for its container before.

        sqlite3.IntegrityError where an address or a port is another's; nothing is changed then.
        """
        container = record.request.container
        with self._transaction():
            self._forget(container)
            self._db.execute(
                "INSERT INTO sandboxes (container, record, ready) VALUES (?, ?, ?)",
                (container, msgspec.json.encode(record), int(ready)),
            )
            self._db.executemany(
                "INSERT INTO leases (network, address, container) VALUES (?, ?, ?)",
                [(*key, container) for key in leases(record)],
            )
            self._db.executemany(
                "INSERT INTO ports (address, protocol, port, container) VALUES (?, ?, ?, ?)",
                [(*port_key(port), container) for port in record.sandbox.ports],
            )

    def mark_ready(self, container: str) -> None:
        """The sandbox is whole in the kernel."""
        self._db.execute("UPDATE sandboxes SET ready = 1 WHERE container = ?", (container,))

    def remove(self, container: str) -> None:
        """Forget a sandbox, its leases and its ports."""
        with self._transaction():
            self._forget(container)

    def holders(self) -> list[str]:
        """Every container that an address or a port is held for, or a sandbox kept."""
        rows = self._db.execute(
            "SELECT container FROM sandboxes UNION SELECT container FROM leases UNION SELECT container FROM ports"
        )
        return [str(row[0]) for row in rows]

    def fact(self, name: str) -> str | None:
        """What was chosen once under this name."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def choose(self, name: str, value: str) -> None:
        """Keep a choice."""
        with self._durable():
            self._db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    def happened(self, what: str, network: str, payload: NetworkHappened, key: str = "") -> None:
        """Keep that this has happened to the network of this id until it is told; see `together`.

        What comes twice with the same key is told once.
        """
        payload = msgspec.structs.replace(payload, at=payload.at or time.time_ns())
        row = (what, network, msgspec.json.encode(payload), key or secrets.token_hex(12))
        self._db.execute("INSERT INTO outbox (what, network, payload, key) VALUES (?, ?, ?, ?)", row)

    def untold(self, limit: int = 256) -> list[Untold]:
        """The oldest of what isn't told yet."""
        rows = self._db.execute(
            "SELECT number, what, network, payload, key FROM outbox ORDER BY number LIMIT ?", (limit,)
        )
        return [
            Untold(number, what, network, msgspec.json.decode(payload, type=NetworkHappened), key)
            for number, what, network, payload, key in rows
        ]

    def told(self, number: int) -> None:
        """Everything up to this number is told."""
        self._db.execute("DELETE FROM outbox WHERE number <= ?", (number,))

    @contextmanager
    def together(self, *, durable: bool = False) -> Iterator[None]:
        """What is written for the time of a `with` is kept all or not at all; `durable` against power loss, too."""
        with self._durable() if durable else self._transaction():
            yield

    def _forget(self, container: str) -> None:
        for statement in (
            "DELETE FROM sandboxes WHERE container = ?",
            "DELETE FROM leases WHERE container = ?",
            "DELETE FROM ports WHERE container = ?",
        ):
            self._db.execute(statement, (container,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._db.in_transaction:  # a part of something larger
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise Unavailable(f"cannot write the networks' state: {error}") from error
            raise

    @contextmanager
    def _durable(self) -> Iterator[None]:
        if self._db.in_transaction:  # a part of something larger
            yield
            return
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            with self._transaction():
                yield
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")


def leases(record: Record) -> list[tuple[str, str]]:
    """The (network id, address) pairs a sandbox holds."""
    return [
        (each.endpoint.network_id, address)
        for each in record.attachments
        for address in (each.endpoint.ipv4, each.endpoint.ipv6)
        if address
    ]


def port_key(port: PortBinding) -> tuple[str, str, int]:
    """What may be published once: (host address, protocol, host port)."""
    return port.host_address, port.protocol, port.host_port
