"""Another credential at half the life of the one before, so that there is as much time again for things to go wrong.

What is asked for is on disk first: an answer that was lost is asked for again, for the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import msgspec
from seaway_bus import Bus
from seaway_bus.credentials import Key
from seaway_protocol import enrolment
from seaway_protocol.enrolment import Admitted, Renewal
from seaway_protocol.errors import Error
from seaway_service import durable

from seaway_fleet import credentials
from seaway_fleet.credentials import Keys
from seaway_fleet.place import LEAF, Place, Standing
from seaway_fleet.servers import Servers

log = logging.getLogger("seaway.fleet")

PENDING = "renewal.json"

RETRY = 30.0
"""Seconds until it is tried again, at most."""

SECOND = 1_000_000_000


class _Pending(msgspec.Struct, frozen=True):
    """A renewal that was begun: the secret halves of the keys, and what is asked."""

    seed: str
    tls: str
    asked: Renewal


class Renewing:
    """Keeps this host's credential young."""

    def __init__(self, bus: Bus, servers: Servers, place: Place, life: float) -> None:
        """`life` is for how many seconds a hub makes its own."""
        self._bus = bus
        self._servers = servers
        self._place = place
        self._life = life

    async def keep(self) -> None:
        """Renew it whenever it is time; until cancelled."""
        while True:
            standing = self._place.read()
            wait = due(standing, time.time_ns())
            if wait <= 0:
                wait = await self._try(standing)
            # Not all at once, and with a look at the clock now and then: it may be set.
            await asyncio.sleep(min(wait, 3600))

    async def _try(self, standing: Standing) -> float:
        """Renew; the seconds until the next look."""
        try:
            await self.renew()
        except (Error, OSError) as error:
            left = (standing.expires - time.time_ns()) / SECOND
            log.warning("This host's credential can't be renewed, and holds for %d s: %s", max(0, left), error)
            return min(RETRY, max(1.0, left / 20))
        return 0.0

    async def renew(self) -> None:
        """Get another credential, and have the servers use it. Raises what the leader has refused."""
        standing = self._place.read()
        if standing.hub:
            # By itself: should all hubs have been off for too long, none could let another in again.
            await asyncio.to_thread(self._renew_own, standing)
        else:
            pending = await asyncio.to_thread(self._pending, standing.node)
            admitted = await self._bus.call(enrolment.renew, pending.asked)
            keys = Keys(Key.of(pending.seed), pending.tls, pending.asked.request)
            await asyncio.to_thread(self._use, admitted, keys, standing)
        log.info("This host's credential was renewed")

    def _renew_own(self, standing: Standing) -> None:
        keys = Keys.make(standing.node)
        own = credentials.own_admission(self._servers.keys, keys, standing.node, standing.address, self._life)
        own = msgspec.structs.replace(own, addresses=standing.addresses)
        self._servers.certify_hub(own.certificate, keys.tls)
        self._servers.reload_hub()
        self._use(own, keys, standing)

    def _use(self, admitted: Admitted, keys: Keys, standing: Standing) -> None:
        self._place.update(
            credentials.files(admitted, keys),
            role=admitted.role,
            addresses=admitted.addresses,
            key=keys.leaf.public,
            issued=time.time_ns(),
            expires=admitted.expires,
        )
        (self._place.directory / PENDING).unlink(missing_ok=True)
        self._servers.follow_place()

    def _pending(self, node: str) -> _Pending:
        """What was begun and not finished; else a new one, on disk."""
        path = self._place.directory / PENDING
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(path.read_bytes(), type=_Pending)
        keys, known = Keys.make(node), credentials.leaf_key((self._place.directory / LEAF).read_text())
        asked = Renewal(node=node, key=keys.leaf.public, request=keys.request, at=time.time_ns())
        asked = msgspec.structs.replace(asked, proof=known.sign(asked.message()))
        pending = _Pending(keys.leaf.seed, keys.tls, asked)
        durable.write(path, msgspec.json.encode(pending), 0o600)
        return pending


def due(standing: Standing, now: int) -> float:
    """Seconds until half of the credential's life is over."""
    return (standing.issued + (standing.expires - standing.issued) // 2 - now) / SECOND
