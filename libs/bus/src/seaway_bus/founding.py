"""The beginning of a hub's JetStream: a group of servers that is one server, and can grow.

A JetStream that was begun alone can't become one of several: what it keeps is thrown away when it is told of others.
One that was begun as a group goes on as a group of any size; but a group begins with two at least (nats-server 2.15.1).
So a second server is there at the beginning, a witness, on loopback and for a second: it makes a group with the hub's,
is removed from it, and is forgotten.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway_protocol.errors import Error, Unavailable
from seaway_service import durable

from seaway_bus.connection import Connection
from seaway_bus.credentials import Key, account_token, credentials, operator_token, user_token
from seaway_bus.memory import HUB_DOMAIN
from seaway_bus.requests import NoResponder, Requests

_SECONDS = 20.0
"""What an attempt may take; it takes about one."""

_ATTEMPTS = 3

_LOOK = 0.05


@dataclass(frozen=True)
class Founding:
    """What the group is to be like.

    `name` is the hub's server's, `cluster` that of the group; `store` is where its JetStream is to be. `operator` and
    `system` are the hub's own keys: the group's state is kept under the system account. `owner` is whom it belongs to.
    """

    name: str
    cluster: str
    store: Path
    operator: Key
    system: Key
    server: Path
    owner: int | None = None


def is_founded(store: Path) -> bool:
    """Whether there is a JetStream already."""
    return (store / "jetstream").exists()


def found(founding: Founding) -> None:
    """Make the group; nothing where there is one. Raises Unavailable where it can't be made."""
    if is_founded(founding.store):
        return
    # In a thread: whoever calls may have an event loop of his own.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _found(founding)).result()


async def _found(founding: Founding) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(prefix="seaway-hub-", dir=founding.store.parent) as directory:
            place = Path(directory)
            if founding.owner is not None:
                shutil.chown(place, founding.owner)
            try:
                await _try(founding, place)
            except (Error, TimeoutError, OSError) as error:
                if attempt == _ATTEMPTS:
                    raise Unavailable(
                        f"cannot begin the fleet's memory: {error or 'its servers do not agree'}"
                    ) from error
                continue
            (place / "hub" / "jetstream").rename(founding.store / "jetstream")
            return


async def _try(founding: Founding, place: Path) -> None:
    """Both servers, until the hub's alone is the group."""
    with _ports() as ports:
        names = (founding.name, f"{founding.name}-witness")
        routes = [f"nats-route://127.0.0.1:{port}" for port in ports[2:]]
    paths = [place / "hub", place / "witness"]
    for name, path, client, cluster in zip(names, paths, ports[:2], ports[2:], strict=True):
        path.mkdir()
        if founding.owner is not None:
            shutil.chown(path, founding.owner)
        text = _configuration(founding, name, path, (client, cluster), routes)
        durable.write(path / "nats-server.conf", text, 0o600, founding.owner)
    async with asyncio.timeout(_SECONDS), _running(founding, paths[0]), _system(founding, place, ports[0]) as system:
        async with _running(founding, paths[1]):
            await _part(system, *names)
        while not _is_alone(await _group(system), names[0]):  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(_LOOK)


async def _part(system: Requests, hub: str, witness: str) -> None:
    """Make the hub's server the group's leader, who alone can do it, and have it remove the witness."""
    while not _is_alone(group := await _group(system), hub):
        if group.get("leader") and group.get("cluster_size") == 2:
            verb, what = "META.LEADER.STEPDOWN", {}
            if group["leader"] == hub:
                verb, what = "SERVER.REMOVE", {"peer": witness}
            with contextlib.suppress(NoResponder, TimeoutError):
                await system.send(f"$JS.API.{verb}", json.dumps(what).encode(), None, 1.0)
        await asyncio.sleep(_LOOK)


def _is_alone(group: dict[str, Any], hub: str) -> bool:
    return group.get("leader") == hub and group.get("cluster_size") == 1


async def _group(system: Requests) -> dict[str, Any]:
    """What a server says of the group: whom it takes for the leader, and how many it takes to be in it."""
    with contextlib.suppress(NoResponder, TimeoutError):
        reply = await system.send("$SYS.REQ.SERVER.PING.JSZ", b"", None, 1.0)
        return dict(json.loads(reply.data).get("data", {}).get("meta_cluster", {}))
    return {}


@contextlib.asynccontextmanager
async def _running(founding: Founding, path: Path) -> AsyncIterator[None]:
    command = [str(founding.server), "-c", str(path / "nats-server.conf")]
    user = {"user": founding.owner} if founding.owner is not None else {}
    with (path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **user)  # type: ignore[call-overload]  # noqa: ASYNC220 - two short moments
    try:
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.asynccontextmanager
async def _system(founding: Founding, place: Path, port: int) -> AsyncIterator[Requests]:
    """A place in the system account."""
    user = Key.generate("user")
    path = place / "system.creds"
    expires = int(time.time()) + 600
    token = user_token(founding.system, user, "founder", None, expires=expires)
    durable.write(path, credentials(token, user), 0o600)
    connection = Connection(f"nats://127.0.0.1:{port}", path, "founder", "_INBOX_founder")
    await connection.open(_SECONDS)
    try:
        requests = Requests(connection, "founder")
        requests.open()
        yield requests
    finally:
        await connection.close()


def _configuration(founding: Founding, name: str, path: Path, ports: tuple[int, int], routes: list[str]) -> str:
    quoted = json.dumps
    system = account_token(founding.operator, founding.system, "SYS", jetstream=False)
    return f"""
server_name: {quoted(name)}
host: "127.0.0.1"
port: {ports[0]}
cluster {{ name: {quoted(founding.cluster)}, host: "127.0.0.1", port: {ports[1]}, routes: {quoted(routes)} }}
operator: {quoted(operator_token(founding.operator, founding.system))}
system_account: {quoted(founding.system.public)}
resolver: MEMORY
resolver_preload {{ {founding.system.public}: {quoted(system)} }}
jetstream {{ store_dir: {quoted(str(path))}, domain: {quoted(HUB_DOMAIN)}, sync_interval: always }}
"""


@contextlib.contextmanager
def _ports() -> Iterator[list[int]]:
    """Four free ports; they are given back at the end of the block."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(4):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        yield found
