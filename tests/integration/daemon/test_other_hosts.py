"""`/nodes/<name>/…`: another host's engine through this one's daemon, over the flows of a real bus.

Host n1 has an engine and a fleet service; n2's daemon is the one that is asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from daemon_peer import Peer, Streams, cat
from seaway_bus import Bus, Endpoints, connect
from seaway_bus.permissions import inbox
from seaway_daemon.engine import Engine
from seaway_daemon.happenings import Happenings
from seaway_daemon.server import Server
from seaway_daemon.settings import DaemonSettings
from seaway_fleet.tunnel import TunnelEndpoints
from seaway_protocol import fleet
from seaway_protocol.actor import Actor
from seaway_protocol.errors import InvalidArgument, Unsupported
from seaway_protocol.fleet import FLEET, Dial
from support.bus import QUICK, BusFor, NatsServer, eventually


@pytest.fixture
async def tunnels(bus_for: BusFor, daemon: Path) -> AsyncIterator[TunnelEndpoints]:
    """The fleet service of n1, as far as tunnels go."""
    bus = await bus_for("fleet", strict=False)
    there = TunnelEndpoints(bus, daemon)
    endpoints = Endpoints()

    async def refuse(request: Any) -> Any:
        raise Unsupported(f"not here: {request!r}")

    call: Any
    for call in FLEET.calls:
        endpoints.on(call)(there.dial if call is fleet.dial else refuse)
    await bus.serve(FLEET, endpoints, version="0")
    yield there
    await there.stop()


@pytest.fixture
async def n2(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """The bus of the asking host's daemon. It may say everything: what it may is another test's."""
    async with await connect(
        nats_server.url,
        credentials=nats_server.credentials("tester"),
        name="tester",
        node="n2",
        inbox=inbox("tester"),
        patience=QUICK,
    ) as bus:
        yield bus


@pytest.fixture
async def asked(tunnels: TunnelEndpoints, n2: Bus, tmp_path: Path) -> AsyncIterator[Path]:
    """The socket of n2's daemon."""
    socket = tmp_path / "n2.sock"
    server = Server(Engine(n2, Happenings(n2), DaemonSettings(node="n2", socket=str(socket), stop_seconds=1.0)))
    await server.start()
    yield socket
    await server.stop()


@pytest.fixture
async def http(asked: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of n2's daemon."""
    async with aiohttp.ClientSession("http://docker", connector=aiohttp.UnixConnector(str(asked))) as session:
        yield session


async def create(http: aiohttp.ClientSession, **config: Any) -> str:
    body = {"Image": "busybox", "Cmd": ["true"], **config}
    async with http.post("/nodes/n1/v1.48/containers/create", json=body) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["Id"])


class Raw:
    """A raw stream after an upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 30)


async def hijack(socket: Path, path: str, body: Any = None, *, send: bytes = b"") -> Raw:
    """Ask to take over, sending `send` in the same breath."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    content = json.dumps(body).encode() if body is not None else b""
    head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content + send)
    return Raw(reader, writer, (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode())


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nodes/n1/_ping", "/nodes/n1/v1.44/_ping", "/v1.44/nodes/n1/_ping"])
async def test_another_host_answers(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as answer:
        assert (answer.status, await answer.text()) == (200, "OK")
        assert "Api-Version" in answer.headers
    async with http.head(path) as answer:
        assert (answer.status, await answer.text()) == (200, "")


async def test_our_own_name_is_here(http: aiohttp.ClientSession) -> None:
    async with http.get("/nodes/n2/_ping") as answer:
        assert (answer.status, await answer.text()) == (200, "OK")


async def test_bodies_and_refusals_go_both_ways(http: aiohttp.ClientSession, peer: Peer) -> None:
    id = await create(http, Labels={"a": "b"})
    assert peer.containers[id].labels == {"a": "b"}
    async with http.get("/nodes/n1/v1.48/containers/json?all=1") as answer:
        assert [each["Id"] for each in await answer.json()] == [id]
    async with http.get("/nodes/n1/v1.48/containers/nosuch/json") as answer:
        assert (answer.status, (await answer.json())["message"]) == (404, "No such container: nosuch")


async def test_one_connection_there_serves_many_requests_of_a_client(
    http: aiohttp.ClientSession, tunnels: TunnelEndpoints
) -> None:
    for _ in range(5):
        async with http.get("/nodes/n1/_ping") as answer:
            assert answer.status == 200
    assert len(tunnels._tunnels) == 1
    await http.close()
    await eventually(lambda: not tunnels._tunnels)


async def test_an_upload_of_many_megabytes(http: aiohttp.ClientSession, peer: Peer) -> None:
    async def archive() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(range(256)) * 4096

    async with http.post("/nodes/n1/v1.48/images/load", data=archive()) as answer:
        assert answer.status == 200, await answer.text()
    assert len(peer.received) == 8 * 1024 * 1024


async def test_an_archive_comes_whole(http: aiohttp.ClientSession, peer: Peer) -> None:
    peer.log = bytes(range(256)) * 40960
    async with http.get("/nodes/n1/v1.48/images/busybox/get") as answer:
        assert await answer.read() == peer.log


async def test_two_hundred_at_once(asked: Path) -> None:
    connector = aiohttp.UnixConnector(str(asked), limit=0)
    async with aiohttp.ClientSession("http://docker", connector=connector) as session:

        async def ping() -> int:
            async with session.get("/nodes/n1/_ping") as answer:
                return answer.status

        assert set(await asyncio.gather(*(ping() for _ in range(200)))) == {200}


# --- raw streams -----------------------------------------------------------------------------------------------------


async def test_input_its_end_and_output(http: aiohttp.ClientSession, asked: Path, peer: Peer) -> None:
    peer.process = cat
    id = await create(http, OpenStdin=True, Tty=True)
    raw = await hijack(asked, f"/nodes/n1/v1.48/containers/{id}/attach?stream=1&stdin=1&stdout=1", send=b"first ")
    assert raw.head.startswith("HTTP/1.1 101 UPGRADED\r\n")
    async with http.post(f"/nodes/n1/v1.48/containers/{id}/start") as answer:
        assert answer.status == 204
    raw.writer.write(b"second")
    raw.writer.write_eof()
    assert await raw.rest() == b"first second"


async def test_an_exec_over_there(http: aiohttp.ClientSession, asked: Path, peer: Peer) -> None:
    peer.process = cat
    id = await create(http)
    await peer.serve_shim(id)
    body = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True, "Tty": True}
    peer.state(id, status="running")
    async with http.post(f"/nodes/n1/v1.48/containers/{id}/exec", json=body) as answer:
        exec = (await answer.json())["Id"]
    raw = await hijack(asked, f"/nodes/n1/v1.48/exec/{exec}/start", {"Tty": True}, send=b"x" * 3_000_000)
    raw.writer.write_eof()
    assert len(await raw.rest()) == 3_000_000


async def test_a_refusal_of_an_upgrade_is_an_answer(http: aiohttp.ClientSession, asked: Path) -> None:
    raw = await hijack(asked, "/nodes/n1/v1.48/containers/nosuch/attach?stream=1&stdout=1")
    assert raw.head.startswith("HTTP/1.1 404 ")
    assert b"No such container: nosuch" in await raw.rest()


async def test_a_client_that_vanishes_lets_go_over_there(
    http: aiohttp.ClientSession, asked: Path, peer: Peer, tunnels: TunnelEndpoints
) -> None:
    gone = asyncio.Event()

    async def endless(streams: Streams) -> int:
        try:
            while True:
                await streams.write(b"x" * 65536)
        finally:
            gone.set()

    peer.process = endless
    id = await create(http, Tty=True)
    raw = await hijack(asked, f"/nodes/n1/v1.48/containers/{id}/attach?stream=1&stdout=1")
    async with http.post(f"/nodes/n1/v1.48/containers/{id}/start") as answer:
        assert answer.status == 204
    await raw.reader.readexactly(1_000_000)
    raw.writer.transport.abort()
    await asyncio.wait_for(gone.wait(), 30)
    await http.close()
    await eventually(lambda: not tunnels._tunnels, 30)


async def test_a_stream_goes_on_after_a_restart_of_the_bus(
    http: aiohttp.ClientSession, asked: Path, peer: Peer, nats_server: NatsServer
) -> None:
    peer.process = cat
    id = await create(http, OpenStdin=True, Tty=True)
    raw = await hijack(asked, f"/nodes/n1/v1.48/containers/{id}/attach?stream=1&stdin=1&stdout=1")
    async with http.post(f"/nodes/n1/v1.48/containers/{id}/start") as answer:
        assert answer.status == 204
    raw.writer.write(b"before ")
    assert await raw.reader.readexactly(7) == b"before "
    nats_server.restart()
    raw.writer.write(b"after")
    raw.writer.write_eof()
    assert await raw.rest() == b"after"


# --- what can't be ---------------------------------------------------------------------------------------------------


async def test_a_host_that_isnt_there(http: aiohttp.ClientSession, asked: Path) -> None:
    async with http.get("/nodes/n3/_ping") as answer:
        assert answer.status == 503
        assert (await answer.json())["message"].startswith("cannot reach n3: no host of that name is in the fleet")
    raw = await hijack(asked, "/nodes/n3/v1.48/exec/x/start", {})
    assert raw.head.startswith("HTTP/1.1 503 ")


async def test_the_fleet_service_ends_in_the_middle(
    http: aiohttp.ClientSession, asked: Path, peer: Peer, tunnels: TunnelEndpoints
) -> None:
    peer.process = cat
    id = await create(http, OpenStdin=True, Tty=True)
    raw = await hijack(asked, f"/nodes/n1/v1.48/containers/{id}/attach?stream=1&stdin=1&stdout=1")
    async with http.post(f"/nodes/n1/v1.48/containers/{id}/start") as answer:
        assert answer.status == 204
    async with http.get("/nodes/n1/v1.48/events") as events:
        assert events.status == 200
        await tunnels.stop()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(events.content.read(), 30)
    assert await raw.rest() == b""


async def test_nobody_goes_on_from_host_to_host(http: aiohttp.ClientSession) -> None:
    async with http.get("/nodes/n1/nodes/n3/_ping") as answer:
        assert answer.status == 403
        assert "by way of" in (await answer.json())["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nodes/n1/../containers/json", 400),
        ("/nodes/n1/%2e%2e/containers/json", 400),
        ("/nodes/n1/containers/..%2f../json", 400),
        ("/nodes/n1%2f..%2fn3/_ping", 404),
        ("/nodes/n1%00/_ping", 404),
        ("/nodes/*/_ping", 404),
        ("/nodes/>/_ping", 404),
        ("/nodes//_ping", 404),
        ("/nodes/n1/nosuch", 404),
        ("//nodes/n1/_ping", 404),
    ],
)
async def test_tricks_with_paths(asked: Path, path: str, status: int) -> None:
    reader, writer = await asyncio.open_unix_connection(str(asked))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
    writer.close()
    assert int(head.split()[1]) == status


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X: a\rSEAWAY-ACTOR: b\r\n\r\n",
        "X: a\n b\r\n\x00: b\r\n\r\n",
    ],
)
async def test_what_is_read_in_two_ways_isnt_forwarded(asked: Path, headers: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(asked))
    writer.write(f"POST /nodes/n1/v1.48/containers/create HTTP/1.1\r\nHost: d\r\n{headers}".encode())
    told = await asyncio.wait_for(reader.read(4096), 30)
    writer.close()
    assert told.split()[1] == b"400", told


async def test_a_connection_header_cant_take_others_along(http: aiohttp.ClientSession, peer: Peer) -> None:
    headers = {"Connection": "X-Registry-Auth, keep-alive", "X-Registry-Auth": "!!"}
    async with http.post("/nodes/n1/v1.48/images/create?fromImage=x&tag=1", headers=headers) as answer:
        assert answer.status == 200, await answer.text()


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [{"node": "*"}, {"node": "a.b"}, {"answers": ">"}, {"requests": "a b"}, {"answers": "same", "requests": "same"}],
)
async def test_a_dial_that_names_no_flow_is_refused(tunnels: TunnelEndpoints, n2: Bus, changed: dict[str, str]) -> None:
    fields: dict[str, Any] = {"node": "n2", "requests": "r", "answers": "a", **changed}
    with pytest.raises(InvalidArgument):
        await n2.call(fleet.dial, Dial(actor=Actor(name="eve", role="admin"), **fields), node="n1")
    assert not tunnels._tunnels


async def test_a_role_that_isnt_one_is_refused(tunnels: TunnelEndpoints, n2: Bus) -> None:
    with pytest.raises(InvalidArgument, match="no role 'god'"):
        dial = Dial(actor=Actor(name="eve", role="god"), node="n2", requests="r", answers="a")
        await n2.call(fleet.dial, dial, node="n1")
