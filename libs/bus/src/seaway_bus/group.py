"""Which hubs make a fleet's JetStream: one that has gone for good must be removed, or its vote is missed for ever."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from seaway_protocol.errors import Unavailable
from seaway_service import durable

from seaway_bus.connection import Connection
from seaway_bus.credentials import Key, credentials, user_token
from seaway_bus.hub import HubKeys, server_name
from seaway_bus.hub_address import join_url
from seaway_bus.requests import NoResponder, Requests

_SECONDS = 5.0


async def remove_hubs(directory: Path, address: str, stay: Collection[str]) -> list[str]:
    """Remove from the group all hubs but those on the nodes that `stay`; the names of the servers that were removed.

    `directory` is that of this host's hub, `address` where it is. Safe to repeat; it does nothing while the group can't
    decide: of two hubs, of which one is gone, the other can't. Raises Unavailable where the hub can't be reached, or a
    server can't be removed, or not yet.
    """
    wanted = {server_name(node) for node in stay}
    async with _system(HubKeys(directory), directory, address) as system:
        leader, others = await _members(system)
        if leader and leader not in wanted:  # it removes everybody but itself
            await _asked(system, "$JS.API.META.LEADER.STEPDOWN", {})
            raise Unavailable(f"cannot remove {leader} from the fleet's hubs: it led them until now; try again")
        gone = [name for name in others if name not in wanted]
        for name in gone:
            reply = await _asked(system, "$JS.API.SERVER.REMOVE", {"peer": name})
            if not reply.get("success"):
                why = reply.get("error", {}).get("description", "the group can't decide now")
                raise Unavailable(f"cannot remove {name} from the fleet's hubs: {why}")
    return gone


async def _members(system: Requests) -> tuple[str, list[str]]:
    """The names of the server that leads the group, and of all others in it; "" and none where nobody leads now."""
    reply = await _asked(system, "$SYS.REQ.SERVER.PING.JSZ", {"leader_only": True})
    group = reply.get("data", {}).get("meta_cluster", {})
    leader = str(group.get("leader", ""))
    return leader, [str(each["name"]) for each in group.get("replicas", ())] if leader else []


async def _asked(system: Requests, subject: str, what: dict[str, Any]) -> dict[str, Any]:
    """An answer; empty where none comes."""
    with contextlib.suppress(NoResponder, TimeoutError):
        return dict(json.loads((await system.send(subject, json.dumps(what).encode(), None, _SECONDS)).data))
    return {}


@contextlib.asynccontextmanager
async def _system(keys: HubKeys, directory: Path, address: str) -> AsyncIterator[Requests]:
    """A place in the system account of this host's hub."""
    user = Key.generate("user")
    token = user_token(keys.key("system"), user, "hub", None, expires=int(time.time()) + 60)
    tls = ssl.create_default_context(cadata=keys.certificate)
    with tempfile.TemporaryDirectory(prefix="system-", dir=directory / "keys") as place:
        path = Path(place) / "system.creds"
        durable.write(path, credentials(token, user), 0o600)
        connection = Connection(join_url(address), path, "hub", "_INBOX_hub", tls=tls)
        await connection.open(_SECONDS)
    try:
        requests = Requests(connection, "hub")
        requests.open()
        yield requests
    finally:
        await connection.close()
