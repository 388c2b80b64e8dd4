"""The sandboxes of this host: a container's namespace with its endpoints and published ports.

`set_up` decides, writes the decision down, then builds; a crash between two of these leaves what the next start finds
in the store and settles (reconcile.py). Work on one container is one after another; containers go side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from seaway_bus import first_asked
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound
from seaway_protocol.network import Connect, Disconnect, Rename, SetUp
from seaway_protocol.types import EndpointSpec, PortBinding, Sandbox
from seaway_service.metrics import Counts

from seaway_network import namespaces, requests
from seaway_network.host import Host
from seaway_network.host_files import HostFiles
from seaway_network.kept_sockets import KeptSockets
from seaway_network.locks import Locks
from seaway_network.networks import HOST, NONE, LiveNetwork, Networks
from seaway_network.ports import Ports, host_addresses, wishes
from seaway_network.resolvers import Resolvers
from seaway_network.ruleset import PortRule
from seaway_network.settings import NetworkSettings
from seaway_network.store import Attachment, Record, Store
from seaway_network.wiring import Cable

_log = logging.getLogger(__name__)
_SHORT = 12

Announce = Callable[[str, LiveNetwork, str], None]
"""Keeps, to be told, that a container (id) has been "connected" to, or "disconnected" from, a network."""


class Sandboxes:
    """Every sandbox by container id."""

    def __init__(
        self,
        settings: NetworkSettings,
        store: Store,
        host: Host,
        networks: Networks,
        kept: KeptSockets,
        announce: Announce,
    ) -> None:
        self._settings = settings
        self._store = store
        self._host = host
        self._networks = networks
        self._announce = announce
        self._files = HostFiles(settings, lambda: self, networks.default_gateway)
        self._ports = Ports(settings.ephemeral)
        self._resolvers = Resolvers(host, kept, lambda: self, self._files.servers)
        self._records: dict[str, Record] = {}
        self._locks = Locks()
        self._left = asyncio.Event()
        self._directory = Path(settings.run_dir) / "netns"
        namespaces.prepare(self._directory)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def users(self, network: str) -> list[Record]:
        """The sandboxes with an endpoint in the network of this id."""
        return [each for each in self if any(one.endpoint.network_id == network for one in each.attachments)]

    def rules(self, record: Record) -> list[PortRule]:
        """A sandbox's published ports as the firewall wants them."""
        label = f"{record.request.container[:_SHORT]} {record.request.name}"
        return requests.port_rules(record.sandbox.ports, record.attachments, label)

    def cables(self, record: Record) -> list[Cable]:
        """A sandbox's cables as the kernel wants them."""
        return [self._cable(record, each) for each in record.attachments if each.host_interface]

    @property
    def questions(self) -> Counts:
        """What was asked of their name servers, by who has answered."""
        return self._resolvers.questions

    @property
    def directory(self) -> Path:
        """Where the namespaces are pinned."""
        return self._directory

    async def gone(self, container: str, seconds: float) -> bool:
        """Wait until a container has no sandbox any more; false where it still has one after this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while container in self._records:
                    await self._left.wait()
        return container not in self._records

    def adopt(self, record: Record) -> None:
        """Take over a sandbox that the store and the kernel have: hold its addresses and ports."""
        self._records[record.request.container] = record
        for each in record.attachments:
            self._networks.hold(each)
        self._ports.restore(record.sandbox.ports)

    def close(self) -> None:
        """End what serves the sandboxes from within this process; they stay."""
        self._resolvers.close_all()

    async def serve_names(self) -> None:
        """Open the name servers of adopted sandboxes."""
        for record in self:
            await self._resolvers.update(record)
        self._resolvers.forget_strangers()

    async def set_up(self, request: SetUp) -> Sandbox:
        """Connect a container. What is there as asked for is given as it is; what is there otherwise is remade."""
        async with self._locks.alone(request.container):
            if known := self._records.get(request.container):
                if known.request == request and self.is_whole(known):
                    return known.sandbox
                await self._dismantle(known)
            record = self._decide(request)
            try:
                await self._build(record)
            except BaseException:
                await self._clear(record)
                raise
            return record.sandbox

    async def tear_down(self, container: str) -> None:
        """Undo set_up, wholly, whatever is left of it; a container that isn't known is fine."""
        async with self._locks.alone(container):
            if record := self._records.get(container):
                await self._dismantle(record)
                return
            path = self._directory / container
            if path.exists():
                namespaces.unpin(path)

    async def let_go(self, container: str) -> None:
        """Forget a sandbox whose namespace is gone; one that is whole stays."""
        async with self._locks.alone(container):
            if (record := self._records.get(container)) and not self.is_whole(record):
                await self._dismantle(record)

    async def restore_bridge(self, network: LiveNetwork) -> None:
        """Make a bridge that is gone again, and plug in the cables of its containers."""
        await self._host.ensure_bridge(network.description())
        for record in self.users(network.id):
            async with self._locks.alone(record.request.container):
                if record.sandbox.path and self.is_whole(record):
                    await self._host.repair(record, self.cables(record))

    async def connect(self, request: Connect) -> Sandbox:
        """One more network for a sandbox; asked again, it may have it."""
        async with self._locks.alone(request.container):
            record = self._find(request.container)
            network = self._networks.find(request.endpoint.network)
            self._check_joining(record, network)
            if any(each.endpoint.network_id == network.id for each in record.attachments):
                if first_asked() is not None:
                    return record.sandbox
                raise Conflict(f"endpoint with name {record.request.name} already exists in network {network.name}")
            requests.check(network, request.endpoint)
            used = [each.endpoint.interface for each in record.attachments]
            interface = requests.next_interface(network, request.endpoint, used)
            added = self._attach(network, request.endpoint, record.request, interface)
            try:
                changed = self._changed(record, (*record.attachments, added))
                await self._join(record, changed, added)
            except BaseException:
                self._networks.release(added)
                raise
            return changed.sandbox

    async def disconnect(self, request: Disconnect) -> Sandbox:
        """One network less for a sandbox; asked again, it may be without it."""
        async with self._locks.alone(request.container):
            record = self._find(request.container)
            network = self._networks.find(request.network)
            gone = next((each for each in record.attachments if each.endpoint.network_id == network.id), None)
            if gone is None and first_asked() is not None:
                return record.sandbox
            if gone is None:
                raise NotFound(f"container {record.request.name} is not connected to network {network.name}")
            if network.name == HOST:
                raise Conflict("container cannot be disconnected from host network or connected to host network")
            changed = self._changed(record, tuple(each for each in record.attachments if each is not gone))
            await self._leave(record, changed, gone)
            return changed.sandbox

    async def rename(self, request: Rename) -> Sandbox:
        """Another name for a container. Raises NotFound where it has no sandbox."""
        async with self._locks.alone(request.container):
            record = requests.renamed(self._find(request.container), request.name)
            self._store.save(record, ready=True)
            self._records[request.container] = record
            await self._resolvers.update(record)
            return record.sandbox

    async def _join(self, before: Record, after: Record, added: Attachment) -> None:
        """Lay the cable that is new, and publish the ports where it is the way out."""
        published = [] if after.sandbox.ports == before.sandbox.ports else self.rules(after)
        cable = next(each for each in self.cables(after) if each.attachment.endpoint == added.endpoint)
        path = Path(before.sandbox.path)
        try:
            self._store.save(after, ready=False)
            await self._host.connect(path, cable, container=before.request.container)
            await self._host.publish(published)
        except BaseException:
            await self._host.disconnect(cable.attachment)
            if published:
                await self._host.publish([], published)
                self._ports.release(after.sandbox.ports)
            self._store.save(before, ready=True)
            raise
        await self._keep(after, "connected", added)

    async def _leave(self, before: Record, after: Record, gone: Attachment) -> None:
        """Cut the cable; where it was the way out, another takes its place with route and ports."""
        if gone.default:
            await self._host.publish([], self.rules(before))
        await self._host.disconnect(gone)
        self._networks.release(gone)
        if gone.default and after.attachments:
            await self._host.repair(after, self.cables(after))
            await self._host.publish(self.rules(after))
        await self._keep(after, "disconnected", gone)

    def _decide(self, request: SetUp) -> Record:
        """Everything about a sandbox but its existence: addresses and ports taken, written down."""
        specs = requests.wanted(request.network)
        networks = [self._networks.find(each.network) for each in specs]
        names = requests.interface_names(networks, specs)
        attachments: list[Attachment] = []
        ports: tuple[PortBinding, ...] = ()
        try:
            for network, spec, name in zip(networks, specs, names, strict=True):
                requests.check(network, spec)
                attachments.append(self._attach(network, spec, request, name))
            chosen = requests.choose_default(attachments)
            ports = self._take_ports(request, chosen)
            record = self._record(request, chosen, ports)
            self._store.save(record, ready=False)
        except BaseException:
            self._ports.release(ports)
            for each in attachments:
                self._networks.release(each)
            raise
        self._records[request.container] = record
        return record

    def _attach(self, network: LiveNetwork, spec: EndpointSpec, request: SetUp, interface: str) -> Attachment:
        return requests.attach(network, spec, request, interface, self._settings.prefix)

    def _take_ports(self, request: SetUp, attachments: tuple[Attachment, ...]) -> tuple[PortBinding, ...]:
        way_out = requests.published_on(attachments)
        if way_out is None:  # no outside: nothing to publish
            return ()
        endpoint = way_out.endpoint
        network = self._networks.find(endpoint.network_id)
        default = network.options.host_address or self._settings.publish_address
        wanted = [
            (each, host_addresses(each, default, ipv4=bool(endpoint.ipv4), ipv6=bool(endpoint.ipv6)))
            for each in wishes(request.network)
        ]
        return self._ports.take((wish, addresses) for wish, addresses in wanted if addresses)

    def _record(self, request: SetUp, attachments: tuple[Attachment, ...], ports: tuple[PortBinding, ...]) -> Record:
        on_host = any(each.endpoint.network == HOST for each in attachments)
        sandbox = Sandbox(
            container=request.container,
            path="" if on_host else str(self._directory / request.container),
            endpoints=tuple(each.endpoint for each in attachments),
            ports=ports,
            hosts=self._files.hosts(request, attachments, on_host=on_host),
            resolv=self._files.resolv(request, attachments, on_host=on_host),
        )
        return Record(request, sandbox, attachments)

    def _changed(self, record: Record, attachments: tuple[Attachment, ...]) -> Record:
        """The record with other attachments. The way out stays while it is there; ports go with it."""
        if any(each.default for each in attachments):
            return self._record(record.request, attachments, record.sandbox.ports)
        attachments = requests.choose_default(attachments)
        self._ports.release(record.sandbox.ports)
        return self._record(record.request, attachments, self._take_ports(record.request, attachments))

    async def _build(self, record: Record) -> None:
        if record.sandbox.path:
            path = Path(record.sandbox.path)
            if path.exists():  # left by a crash, and not known to the store
                namespaces.unpin(path)
            await self._host.build(record, self.cables(record), self.rules(record))
            await self._resolvers.update(record)
        self.mark_ready(record)

    def mark_ready(self, record: Record) -> None:
        """The sandbox is whole in the kernel: that is kept, and that it is connected."""
        with self._store.together():
            self._store.mark_ready(record.request.container)
            self._announce_all("connected", record)

    def forget(self, record: Record, *, ready: bool) -> None:
        """Forget a sandbox of an earlier life whose namespace is gone; one that was `ready` was connected."""
        with self._store.together():
            self._store.remove(record.request.container)
            if ready:
                self._announce_all("disconnected", record)

    async def _dismantle(self, record: Record) -> None:
        if record.sandbox.path:
            await self._host.dismantle(record, self.rules(record))
        with self._store.together():
            self._let_go(record)
            self._announce_all("disconnected", record)

    def _announce_all(self, what: str, record: Record) -> None:
        for each in record.attachments:
            with contextlib.suppress(NotFound):
                self._announce(what, self._networks.find(each.endpoint.network_id), record.request.container)

    async def _clear(self, record: Record) -> None:
        """Undo a sandbox, built or half built, and forget it."""
        if record.sandbox.path:
            await self._host.dismantle(record, self.rules(record))
        self._let_go(record)

    def _let_go(self, record: Record) -> None:
        """Forget a sandbox that the kernel has no longer."""
        self._resolvers.close(record.request.container)
        self._store.remove(record.request.container)
        self._records.pop(record.request.container, None)
        self._ports.release(record.sandbox.ports)
        for each in record.attachments:
            self._networks.release(each)
        self._left.set()
        self._left = asyncio.Event()

    async def _keep(self, record: Record, what: str, attachment: Attachment) -> None:
        """Keep a sandbox that was changed, and what has happened to it with this attachment."""
        with self._store.together():
            self._store.save(record, ready=True)
            self._announce(what, self._networks.find(attachment.endpoint.network_id), record.request.container)
        self._records[record.request.container] = record
        await self._resolvers.update(record)

    def _cable(self, record: Record, attachment: Attachment) -> Cable:
        network = self._networks.find(attachment.endpoint.network_id)
        published = attachment.default and bool(record.sandbox.ports)
        return Cable(attachment, network.bridge, network.options.mtu, published)

    def _find(self, container: str) -> Record:
        if record := self._records.get(container):
            return record
        raise NotFound(f"container {container} has no sandbox: it isn't running")

    def is_whole(self, record: Record) -> bool:
        """Whether a sandbox has the namespace that it says it has."""
        return not record.sandbox.path or namespaces.is_pinned(Path(record.sandbox.path))

    def _check_joining(self, record: Record, network: LiveNetwork) -> None:
        if network.name == HOST or not record.sandbox.path:
            raise InvalidArgument("container cannot be disconnected from host network or connected to host network")
        if network.name == NONE or any(each.endpoint.network == NONE for each in record.attachments):
            raise InvalidArgument(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )
