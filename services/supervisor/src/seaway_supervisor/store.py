"""The supervisor's state: one SQLite file, written by one thread, a transaction per change.

    state.db
    ├── meta         key, value               the file's own id; schema version
    ├── containers   id, name, removing, record     what is known of a container, as JSON (`records.Record`)
    ├── buried       id, started_at              containers removed lately, and when each was started last
    ├── volumes      name, owner, volume            a volume as JSON (`types.Volume`)
    ├── outbox       number, name, subject, payload events decided on and not yet published, in order
    └── told         number, word                which request has told which event lately

WAL and synchronous=FULL: what `commit` has returned from survives a power cut. Changes that arrive while a
transaction is being synced share the next one, in their order, so that many clients cost few syncs. Migrations
only add, and columns are named throughout, so that the previous version can go on with the file.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seaway_protocol.errors import Unavailable

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, removing INTEGER NOT NULL DEFAULT 0, record BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS container_names ON containers (name) WHERE NOT removing;
CREATE TABLE IF NOT EXISTS buried (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, started_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, owner TEXT NOT NULL DEFAULT '', volume BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, subject TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS told (number INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL UNIQUE);
"""

_MOST_BURIED = 1000
_MOST_TOLD = 1000

Statement = tuple[str, Sequence[object]]
Change = tuple[list[Statement], "asyncio.Future[None]"]


@dataclass(frozen=True)
class Pending:
    """An event of the outbox: its number, its declaration's name, the id it is about, its payload as JSON."""

    number: int
    name: str
    subject: str
    payload: bytes


def put_container(id: str, name: str, removing: bool, record: bytes) -> Statement:
    """Insert or replace a container."""
    return (
        "INSERT OR REPLACE INTO containers (id, name, removing, record) VALUES (?, ?, ?, ?)",
        (id, name, removing, record),
    )


def drop_container(id: str) -> Statement:
    """Forget a container."""
    return ("DELETE FROM containers WHERE id = ?", (id,))


def bury_container(id: str, started_at: int) -> list[Statement]:
    """Remember for a while of a container that is forgotten when it was started last, Unix nanoseconds."""
    return [
        ("INSERT INTO buried (id, started_at) VALUES (?, ?)", (id, started_at)),
        ("DELETE FROM buried WHERE number <= (SELECT max(number) FROM buried) - ?", (_MOST_BURIED,)),
    ]


def put_volume(name: str, owner: str, volume: bytes) -> Statement:
    """Insert or replace a volume; `owner` is the container that is being created with it, until that is there."""
    return ("INSERT OR REPLACE INTO volumes (name, owner, volume) VALUES (?, ?, ?)", (name, owner, volume))


def drop_volume(name: str) -> Statement:
    """Forget a volume."""
    return ("DELETE FROM volumes WHERE name = ?", (name,))


def put_event(name: str, subject: str, payload: bytes) -> Statement:
    """Append an event to the outbox."""
    return ("INSERT INTO outbox (name, subject, payload) VALUES (?, ?, ?)", (name, subject, payload))


def put_event_once(word: str, event: Statement) -> list[Statement]:
    """Append an event, given as `put_event` makes it, unless one was appended with the same word lately."""
    insert, values = event
    unless = insert.replace("VALUES (?, ?, ?)", "SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM told WHERE word = ?)")
    return [
        (unless, (*values, word)),
        ("INSERT OR IGNORE INTO told (word) VALUES (?)", (word,)),
        ("DELETE FROM told WHERE number <= (SELECT max(number) FROM told) - ?", (_MOST_TOLD,)),
    ]


def drop_events(through: int) -> Statement:
    """Forget the events that are published."""
    return ("DELETE FROM outbox WHERE number <= ?", (through,))


class Store:
    """The open file. Reading is done once, at the start; after that memory is the cache and the file the truth."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._connection = _connect(path)
        self.file_id = _migrate(self._connection, path)
        self._loop = asyncio.get_running_loop()
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="store", daemon=True)
        self._writer.start()

    def containers(self) -> list[bytes]:
        """Every container's record."""
        return [row[0] for row in self._connection.execute("SELECT record FROM containers")]

    def buried(self) -> dict[str, int]:
        """When the containers removed lately were started last, by id."""
        return dict(self._connection.execute("SELECT id, started_at FROM buried").fetchall())

    def volumes(self) -> list[tuple[str, bytes]]:
        """Every volume, each with the container it was being made for."""
        return self._connection.execute("SELECT owner, volume FROM volumes").fetchall()

    def outbox(self, after: int, limit: int = 256) -> list[Pending]:
        """The first events numbered above `after`, in order."""
        found = "SELECT number, name, subject, payload FROM outbox WHERE number > ? ORDER BY number LIMIT ?"
        rows = self._connection.execute(found, (after, limit))
        return [Pending(*row) for row in rows.fetchall()]

    def waiting(self, after: int) -> int:
        """How many events are numbered above `after`."""
        found: int = self._connection.execute("SELECT COUNT(*) FROM outbox WHERE number > ?", (after,)).fetchone()[0]
        return found

    def commit(self, statements: Iterable[Statement]) -> asyncio.Future[None]:
        """Write all of them or none. The order of calls is kept; the future is done when they are on disk, and raises
        Unavailable where the disk refuses them.

        Whoever doesn't await it accepts that a crash may undo it, and what followed it, but never what came before.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._changes.put((list(statements), future))
        return future

    async def close(self) -> None:
        """Write what is pending and close the file."""
        self._changes.put(None)
        await asyncio.to_thread(self._writer.join)
        self._connection.close()

    def _write(self) -> None:
        connection = _connect(self.path)
        open_ = True
        while open_:
            batch = [self._changes.get()]
            while not self._changes.empty():
                batch.append(self._changes.get())
            open_ = None not in batch
            changes = [change for change in batch if change is not None]
            if changes:
                self._commit(connection, changes)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, changes: list[Change]) -> None:
        """One transaction for all; should it fail, one for each, so that a bad change harms nobody else's."""
        error = _transact(connection, [statement for statements, _ in changes for statement in statements])
        outcomes = [error for _ in changes]
        if error and len(changes) > 1:
            outcomes = [_transact(connection, statements) for statements, _ in changes]
        self._loop.call_soon_threadsafe(_settle, [future for _, future in changes], outcomes)


def _transact(connection: sqlite3.Connection, statements: list[Statement]) -> sqlite3.Error | None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            connection.execute(sql, values)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return error
    return None


def _settle(futures: list[asyncio.Future[None]], outcomes: list[sqlite3.Error | None]) -> None:
    for future, error in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if error:
            refused = isinstance(error, sqlite3.OperationalError)  # no space, no disk: not what was to be written
            future.set_exception(Unavailable(f"cannot write the supervisor's state: {error}") if refused else error)
        else:
            future.set_result(None)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> str:
    """Add what this version needs; the file's id, made with the file."""
    connection.executescript(_TABLES)
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('schema', ?)", (str(SCHEMA),))
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('id', ?)", (secrets.token_hex(6),))
    path.chmod(0o600)
    (id,) = connection.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
    return str(id)
