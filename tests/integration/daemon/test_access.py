"""Who may do what: certificates, roles and scopes over real TLS, for other hosts too; and what the audit says of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from daemon_peer import Peer, Streams, cat
from seaway_daemon.access import audit as of_daemon
from seaway_daemon.engine import Engine
from seaway_daemon.happenings import Happenings
from seaway_daemon.server import Server
from seaway_daemon.settings import DaemonSettings, Grant
from seaway_protocol import audit
from seaway_protocol.actor import Actor
from support.bus import BusFor, NatsServer
from support.certificates import Authority

ROLES = {
    "alice": Grant(role="admin"),
    "oscar": Grant(role="operator"),
    "vera": Grant(role="viewer"),
    "wanda": Grant(role="operator", labels=("team=web",)),
    "far": Grant(role="admin", hosts=("h9",)),
}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


Client = Callable[[str], aiohttp.ClientSession]


@pytest.fixture
async def served(bus_for: BusFor, peer: Peer, tmp_path: Path, authority: Authority) -> AsyncIterator[Server]:
    """A daemon with TLS and roles on the test's bus."""
    bus = await bus_for("daemon")
    certificate, key = authority.server("127.0.0.1")
    settings = DaemonSettings(
        node=bus.node,
        socket=str(tmp_path / "engine.sock"),
        tcp="127.0.0.1:0",
        tls_certificate=str(certificate),
        tls_key=str(key),
        tls_authority=str(authority.certificate),
        roles=ROLES,
    )
    happenings = Happenings(bus)
    server = Server(Engine(bus, happenings, settings))
    happenings.start()
    await server.start()
    yield server
    await server.stop()
    await happenings.stop()


@pytest.fixture
async def client(served: Server, authority: Authority) -> AsyncIterator[Client]:
    """`client("vera")`: an HTTPS client with her certificate."""
    port = next(
        each.sockets[0].getsockname()[1] for each in served._servers if each.sockets[0].family.name != "AF_UNIX"
    )
    sessions: list[aiohttp.ClientSession] = []

    def open_session(name: str) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=authority.client(name))
        sessions.append(aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector))
        return sessions[-1]

    yield open_session
    for each in sessions:
        await each.close()


async def asked(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, str]:
    async with session.request(method, path, json=body) as answer:
        return answer.status, await answer.text()


def container(**labels: str) -> dict[str, Any]:
    return {"Image": "busybox", "Cmd": ["true"], "Labels": labels}


# --- roles -----------------------------------------------------------------------------------------------------------


async def test_a_viewer_looks_and_changes_nothing(client: Client) -> None:
    vera = client("vera")
    assert (await asked(vera, "GET", "/containers/json"))[0] == 200
    status, text = await asked(vera, "POST", "/containers/create", container())
    assert status == 403
    told = "cannot POST /containers/create: vera is a viewer, and this needs an operator"
    assert json.loads(text)["message"] == told
    for path in ("/containers/x/attach", "/containers/x/exec", "/containers/x/start", "/exec/x/start", "/images/load"):
        assert (await asked(vera, "POST", path, {}))[0] == 403
    for path in ("/containers/x/export", "/containers/x/archive?path=/", "/images/x/get", "/seaway/audit"):
        assert (await asked(vera, "GET", path))[0] == 403


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"Privileged": True}, "--privileged"),
        ({"Binds": ["/etc:/x"]}, "the host's path /etc"),
        ({"PidMode": "host"}, "the host's pid namespace"),
        ({"NetworkMode": "host"}, "the host's network namespace"),
        ({"CapAdd": ["SYS_ADMIN"]}, "the capability SYS_ADMIN"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "the security option"),
        ({"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]}, "the option devices"),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]}, "a mount of type bind"),
        ({"MaskedPaths": []}, "changing what is masked"),
        ({"CgroupParent": "/"}, "the option cgroup parent"),
    ],
)
async def test_an_operator_doesnt_get_the_host(client: Client, host: dict[str, Any], reason: str) -> None:
    status, text = await asked(client("oscar"), "POST", "/containers/create", {**container(), "HostConfig": host})
    assert status == 403 and reason in json.loads(text)["message"], text


async def test_an_operator_runs_what_stays_in_its_container(client: Client) -> None:
    body = {**container(), "HostConfig": {"Binds": ["data:/data"], "Memory": 1 << 26}}
    assert (await asked(client("oscar"), "POST", "/containers/create", body))[0] == 201


async def test_who_isnt_in_the_table_may_do_nothing(client: Client) -> None:
    status, text = await asked(client("mallory"), "GET", "/_ping")
    assert status == 403 and "mallory has no role here" in text
    assert (await asked(client("far"), "GET", "/_ping"))[0] == 403


async def test_the_unix_socket_is_an_admins(served: Server, tmp_path: Path, peer: Peer) -> None:
    async with aiohttp.ClientSession(
        "http://d", connector=aiohttp.UnixConnector(str(tmp_path / "engine.sock"))
    ) as root:
        assert (await asked(root, "POST", "/containers/create", {**container(), "HostConfig": {"Privileged": True}}))[
            0
        ] == 201


async def test_a_reload_changes_roles_on_open_connections(client: Client, served: Server) -> None:
    vera = client("vera")
    assert (await asked(vera, "POST", "/containers/create", container()))[0] == 403
    changed = {**ROLES, "vera": Grant(role="operator")}
    served.reload(msgspec.structs.replace(served._engine.settings, roles=changed))
    assert (await asked(vera, "POST", "/containers/create", container()))[0] == 201


# --- scopes ----------------------------------------------------------------------------------------------------------


async def test_a_scope_of_labels(client: Client, peer: Peer) -> None:
    alice, wanda = client("alice"), client("wanda")
    ids = []
    for labels in ({"team": "web"}, {"team": "db"}):
        status, text = await asked(alice, "POST", "/containers/create", container(**labels))
        assert status == 201
        ids.append(json.loads(text)["Id"])
    mine, others = ids
    assert [each["Id"] for each in json.loads((await asked(wanda, "GET", "/containers/json?all=1"))[1])] == [mine]
    assert (await asked(wanda, "GET", f"/containers/{mine}/json"))[0] == 200
    for method, path in (
        ("GET", "json"),
        ("GET", "logs?stdout=1"),
        ("POST", "start"),
        ("POST", "exec"),
        ("POST", "kill"),
    ):
        assert (await asked(wanda, method, f"/containers/{others}/{path}", {}))[0] == 404
    assert (await asked(wanda, "DELETE", f"/containers/{others}"))[0] == 404
    assert (await asked(wanda, "POST", "/containers/create", container(team="db")))[0] == 403
    assert (await asked(wanda, "POST", "/containers/create", container(team="web")))[0] == 201
    for host in ({"NetworkMode": f"container:{others}"}, {"VolumesFrom": [others]}, {"Binds": ["data:/data"]}):
        assert (await asked(wanda, "POST", "/containers/create", {**container(team="web"), "HostConfig": host}))[
            0
        ] == 403
    for method, path in (
        ("POST", "/networks/create"),
        ("DELETE", "/volumes/x"),
        ("GET", "/system/df"),
        ("POST", "/build"),
    ):
        assert (await asked(wanda, method, path, {}))[0] == 403


async def test_an_exec_of_another_scope_isnt_there(client: Client, peer: Peer) -> None:
    alice, wanda = client("alice"), client("wanda")
    id = json.loads((await asked(alice, "POST", "/containers/create", container(team="db")))[1])["Id"]
    await peer.serve_shim(id)
    exec = json.loads((await asked(alice, "POST", f"/containers/{id}/exec", {"Cmd": ["sh"]}))[1])["Id"]
    assert (await asked(wanda, "POST", f"/exec/{exec}/start", {}))[0] == 404
    assert (await asked(wanda, "GET", f"/exec/{exec}/json"))[0] == 404


# --- TLS -------------------------------------------------------------------------------------------------------------


def port_of(served: Server) -> int:
    return int(
        next(each.sockets[0].getsockname()[1] for each in served._servers if each.sockets[0].family.name != "AF_UNIX")
    )


class Blocking:
    """A client of its own thread's: the ssl module's sockets can end their half, asyncio's can't."""

    def __init__(self, served: Server, authority: Authority, path: str) -> None:
        plain = socket.create_connection(("127.0.0.1", port_of(served)), timeout=30)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = authority.client("alice").wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.plain = plain
        self._until(self.tls.do_handshake)
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        self.send(head.encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.read(1)

    def _until(self, work: Callable[[], Any]) -> Any:
        while True:
            try:
                result = work()
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self.plain.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()
        self._flush()
        return result

    def _flush(self) -> None:
        if self.outgoing.pending:
            self.plain.sendall(self.outgoing.read())

    def send(self, data: bytes) -> None:
        self._until(lambda: self.tls.write(data))

    def end(self) -> None:
        """close_notify, and read on."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()

    def read(self, most: int = 65536) -> bytes:
        try:
            return bytes(self._until(lambda: self.tls.read(most)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def rest(self) -> bytes:
        return b"".join(iter(self.read, b""))


async def test_a_client_ends_its_half_and_is_still_answered(
    client: Client, served: Server, authority: Authority, peer: Peer
) -> None:
    async def told_after_the_end(streams: Streams) -> int:
        assert streams.stdin
        received = [data async for _, data in streams.stdin]
        await streams.write(b"after the end: " + b"".join(received) + b"x" * 3_000_000)
        return 0

    peer.process = told_after_the_end
    alice = client("alice")
    body = {**container(), "OpenStdin": True, "Tty": True}
    id = json.loads((await asked(alice, "POST", "/containers/create", body))[1])["Id"]
    path = f"/containers/{id}/attach?stream=1&stdin=1&stdout=1"
    raw = await asyncio.to_thread(Blocking, served, authority, path)
    assert raw.head.startswith(b"HTTP/1.1 101 ")
    assert (await asked(alice, "POST", f"/containers/{id}/start"))[0] == 204
    await asyncio.to_thread(raw.send, b"input")
    await asyncio.to_thread(raw.end)
    assert await asyncio.wait_for(asyncio.to_thread(raw.rest), 60) == b"after the end: input" + b"x" * 3_000_000
    raw.plain.close()


async def test_who_doesnt_speak_tls_or_shows_nothing_gets_nowhere(served: Server, authority: Authority) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served))
    writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 30)
    writer.close()
    bare = ssl.create_default_context(cafile=str(authority.certificate))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(served), ssl=bare)
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        if not await asyncio.wait_for(reader.read(), 30):
            raise ConnectionResetError


async def test_megabytes_over_tls_with_a_slow_reader(client: Client, peer: Peer) -> None:
    peer.log = bytes(range(256)) * 65536
    alice = client("alice")
    async with alice.get("/images/busybox/get") as answer:
        await asyncio.sleep(0.5)  # the reader's slowness, nothing is waited for
        assert await answer.read() == peer.log

    async def archive() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(range(256)) * 4096

    async with alice.post("/images/load", data=archive()) as answer:
        assert answer.status == 200
    assert len(peer.received) == 8 * 1024 * 1024


# --- who a connection is ---------------------------------------------------------------------------------------------


async def test_no_header_makes_anybody_else_of_a_client(client: Client) -> None:
    headers = {"SEAWAY-ACTOR": '{"name":"alice","role":"admin","node":"h9"}', "Sw-Actor": "alice"}
    async with client("vera").post("/containers/create", json=container(), headers=headers) as answer:
        assert answer.status == 403


async def test_a_certificates_line_of_an_actor_is_no_request(
    client: Client, served: Server, authority: Authority
) -> None:
    port = next(
        each.sockets[0].getsockname()[1] for each in served._servers if each.sockets[0].family.name != "AF_UNIX"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.client("vera"))
    writer.write(b'SEAWAY-ACTOR {"name":"alice","role":"admin","node":"h9"}\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n')
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


@pytest.mark.parametrize(
    "line",
    [b"SEAWAY-ACTOR {}\r\n", b"SEAWAY-ACTOR nonsense\r\n", b"SEAWAY-ACTOR " + b"x" * 70_000, b"SEAWAY-ACTOR []\r\n"],
)
async def test_a_line_that_isnt_an_actor_ends_the_connection(served: Server, tmp_path: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "engine.sock"))
    writer.write(line + b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_whom_the_fleet_service_speaks_for_is_limited_here_too(served: Server, tmp_path: Path) -> None:
    async def status(actor: dict[str, Any], method: str = "POST", path: str = "/containers/prune") -> int:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "engine.sock"))
        line = b"SEAWAY-ACTOR " + json.dumps(actor).encode() + b"\r\n"
        for piece in (line[:5], line[5:30], line[30:] + f"{method} {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode()):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.readline(), 30)
        writer.close()
        return int(answer.split()[1])

    there = {"node": "h9", "certificate": "ab"}
    assert await status({"name": "x", "role": "viewer", "node": "h9"}) == 403
    assert await status({"name": "vera", "role": "admin", **there}) == 403  # she is a viewer on this host
    assert await status({"name": "nobody-here", "role": "admin", **there}) == 403
    assert await status({"name": "alice", "role": "viewer", **there}) == 403
    assert await status({"name": "vera", "role": "admin", **there}, "GET", "/_ping") == 200
    assert await status({"name": "root", "role": "admin", "node": "h9"}, "GET", "/_ping") == 200
    assert await status({"name": "root", "role": "god", "node": "h9"}, "GET", "/_ping") == 403


# --- the audit -------------------------------------------------------------------------------------------------------


async def noted(session: aiohttp.ClientSession, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The audit, once it has what is waited for."""
    async with asyncio.timeout(30):
        while True:
            told = json.loads((await asked(session, "GET", "/seaway/audit"))[1])["Requests"]
            found = [each for each in told if each["Route"] != "/seaway/audit"]  # looking at it is noted, too
            if wanted(found):
                return found
            await asyncio.sleep(0.05)


async def test_changes_and_refusals_are_noted(client: Client) -> None:
    alice, vera = client("alice"), client("vera")
    _status, text = await asked(alice, "POST", "/containers/create?name=web", container())
    await asked(vera, "GET", "/containers/json")
    await asked(vera, "DELETE", "/containers/web")
    found = await noted(alice, lambda all: len(all) == 2)
    made, refused = found
    assert (made["Actor"], made["Role"], made["Method"], made["Route"]) == (
        "alice",
        "admin",
        "POST",
        "/containers/create",
    )
    assert made["Object"] == json.loads(text)["Id"] and made["Detail"] == "busybox" and made["Status"] == 201
    assert made["Address"].startswith("127.0.0.1:") and len(made["Certificate"]) == 64 and len(made["Trace"]) == 32
    assert (refused["Actor"], refused["Object"], refused["Status"]) == ("vera", "web", 403)


async def test_a_connection_that_lasts_is_noted_twice(
    client: Client, served: Server, tmp_path: Path, peer: Peer
) -> None:
    peer.process = cat
    alice = client("alice")
    body = {**container(), "OpenStdin": True, "Tty": True}
    id = json.loads((await asked(alice, "POST", "/containers/create", body))[1])["Id"]
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "engine.sock"))
    path = f"/containers/{id}/attach?stream=1&stdin=1&stdout=1"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    assert (await asked(alice, "POST", f"/containers/{id}/start"))[0] == 204
    writer.write(b"x" * 100)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 30) == b"x" * 100
    writer.close()
    attach = "/containers/{name}/attach"
    found = await noted(alice, lambda all: sum(each["Route"] == attach for each in all) == 2)
    begin, end = (each for each in found if each["Route"] == attach)
    assert (begin["Phase"], begin["Object"], begin["Actor"]) == ("begin", id, "root")
    assert (end["Phase"], end["FromClient"], end["Status"]) == ("end", 100, 101)
    assert end["ToClient"] > 100 and begin["Trace"] == end["Trace"]
    start = next(each for each in found if each["Route"].endswith("/start"))
    assert (start["Phase"], start["Status"]) == ("", 204)


async def test_what_the_bus_cant_take_waits(client: Client, served: Server, nats_server: NatsServer) -> None:
    alice = client("alice")
    await asked(alice, "POST", "/auth", {})
    nats_server.kill()
    waiting = served._engine.audit
    for _ in range(5):
        await asked(alice, "POST", "/auth", {})
    assert waiting.lost == 0
    nats_server.start()
    found = await noted(alice, lambda all: len(all) == 6)
    assert {each["Route"] for each in found} == {"/auth"}


async def test_what_is_lost_is_counted_and_told(bus_for: BusFor, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_daemon, "_ROOM", 3)
    bus = await bus_for("daemon")
    notes = of_daemon.Audit(bus)
    for _ in range(10):
        notes.done(of_daemon.Note(Actor(name="a"), "POST", "/x"), 200)
    notes.start()
    async with bus.events(audit.noted, since=0) as occurrences:
        told = (await asyncio.wait_for(anext(occurrences), 30)).payload
    assert isinstance(told, audit.Noted) and (len(told.requests), told.lost, notes.lost) == (3, 7, 7)
    await notes.stop()
