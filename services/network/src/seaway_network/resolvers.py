"""The name servers of all sandboxes that have one, opened and closed with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seaway_service.metrics import Counts

from seaway_network import names, requests
from seaway_network.host import Host
from seaway_network.kept_sockets import KeptSockets
from seaway_network.store import Record

if TYPE_CHECKING:
    from seaway_network.resolver import Directory, Resolver


class Resolvers:
    """Resolvers by container. `records` gives all sandboxes; `servers` the name servers one container's may ask."""

    def __init__(
        self,
        host: Host,
        kept: KeptSockets,
        records: Callable[[], Iterable[Record]],
        servers: Callable[[Record], Sequence[str]],
    ) -> None:
        self._host = host
        self._kept = kept
        self._records = records
        self._servers = servers
        self._askers: dict[str, Record] = {}
        self._resolvers: dict[str, Resolver] = {}
        self.questions = Counts("answered_by")
        """Questions that were asked, by who has answered."""

    async def update(self, record: Record) -> None:
        """Have a resolver that knows the sandbox as it is now, if it is in a network with names."""
        container = record.request.container
        self._askers[container] = record
        if container in self._resolvers or not requests.named(record.attachments) or not record.sandbox.path:
            return
        # Here, because reading DNS messages takes 100 ms to import and hosts without user networks never do.
        from seaway_network.resolver import Resolver, open_sockets

        before = self._kept.take(container)
        sockets = await self._host.in_thread(lambda: open_sockets(Path(record.sandbox.path), before))
        if sockets != before:
            self._kept.keep(container, sockets)
        resolver = Resolver(self._directory(container), self.questions)
        self._resolvers[container] = resolver
        await resolver.serve(sockets)

    def close(self, container: str) -> None:
        """End a sandbox's resolver."""
        self._askers.pop(container, None)
        if resolver := self._resolvers.pop(container, None):
            self._kept.drop(container)
            resolver.close()

    def forget_strangers(self) -> None:
        """All sandboxes have been taken over: sockets of others are nobody's."""
        self._kept.drop_untaken()

    def close_all(self) -> None:
        """End every resolver; its sockets stay with the service manager, and queries wait in them."""
        for resolver in self._resolvers.values():
            resolver.close()
        self._resolvers.clear()

    def _directory(self, container: str) -> Directory:
        from seaway_network.resolver import Directory

        return Directory(
            addresses=lambda name: names.resolve(name, self._askers[container], self._records()),
            name=lambda address: names.called(address, self._askers[container], self._records()),
            servers=lambda: self._servers(self._askers[container]),
        )
