"""The sockets: whose they are, who else is there, what systemd passes, and TLS."""

from __future__ import annotations

import asyncio
import grp
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from seaway_daemon.listening import CannotListen, tls, unix
from seaway_daemon.settings import DaemonSettings
from support.bus import NatsServer
from support.conditions import until


def test_a_socket_has_its_mode_and_group_before_anybody_can_meet_it(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    path = tmp_path / "run" / "engine.sock"
    with unix(path, 0o640, group):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert [each.name for each in path.parent.iterdir()] == ["engine.sock"]


def test_a_socket_left_by_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    unix(path, 0o660, "").close()
    with unix(path, 0o660, ""):
        assert path.is_socket()


def test_a_socket_somebody_answers_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with unix(path, 0o660, ""), pytest.raises(CannotListen, match="another engine answers there"):
        unix(path, 0o660, "")


@pytest.mark.parametrize(
    ("path", "group", "reason"), [("/proc/engine.sock", "", "cannot serve on /proc"), ("x.sock", "no-such", "no group")]
)
def test_what_forbids_a_socket_is_told(tmp_path: Path, path: str, group: str, reason: str) -> None:
    with pytest.raises(CannotListen, match=reason):
        unix(tmp_path / path, 0o660, group)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tcp": "127.0.0.1:0"}, "TCP needs mutual TLS"),
        ({"tcp": "127.0.0.1:0", "tls_certificate": "a", "tls_key": "b"}, "TCP needs mutual TLS"),
        ({"tcp": "nowhere", "tls_certificate": "a", "tls_key": "b", "tls_authority": "c"}, "isn't address:port"),
        ({"tcp": "127.0.0.1:0", "tls_certificate": "a", "tls_key": "b", "tls_authority": "c"}, "TLS files"),
    ],
)
def test_tcp_without_mutual_tls_is_refused(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(CannotListen, match=reason):
        tls(DaemonSettings(**settings))  # type: ignore[arg-type]


# --- as a process ----------------------------------------------------------------------------------------------------


class Daemon:
    """The real program on a test's bus."""

    def __init__(self, nats_server: NatsServer, directory: Path, **settings: str) -> None:
        self.socket = directory / "engine.sock"
        self._log = directory / "daemon.log"
        lines = {
            "node": nats_server.node,
            "bus_url": nats_server.url,
            "credentials": str(nats_server.credentials("daemon")),
            "socket": str(self.socket),
            **settings,
        }
        self.config = directory / "daemon.toml"
        self.config.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))

    def start(self, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        program = [*prefix, sys.executable, "-I", "-m", "seaway_daemon", "--config", str(self.config)]
        with self._log.open("wb") as log:
            return subprocess.Popen(program, stderr=log, stdin=subprocess.DEVNULL)

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(str(self.socket))
                client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
                return client.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    @property
    def log(self) -> str:
        return self._log.read_text()


def test_the_program_answers_and_stops_in_time_with_clients_waiting(nats_server: NatsServer, tmp_path: Path) -> None:
    daemon = Daemon(nats_server, tmp_path)
    process = daemon.start()
    until(daemon.answers, 15)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(daemon.socket))
        waiting.sendall(b"GET /events?since=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        nats_server.freeze()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, daemon.log
        assert time.monotonic() - begun < 5
        nats_server.thaw()
    assert not daemon.socket.exists()


def test_a_second_daemon_on_one_socket_ends_with_the_code_for_settings(nats_server: NatsServer, tmp_path: Path) -> None:
    first = Daemon(nats_server, tmp_path)
    process = first.start()
    try:
        until(first.answers, 15)
        (tmp_path / "second").mkdir()
        second = Daemon(nats_server, tmp_path / "second", socket=str(first.socket))
        assert second.start().wait(15) == 78
        assert "another engine answers there" in second.log
        assert first.answers()
    finally:
        process.terminate()
        process.wait(10)


def test_a_socket_passed_by_systemd_outlives_the_daemon(nats_server: NatsServer, tmp_path: Path) -> None:
    daemon = Daemon(nats_server, tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        # As systemd does: descriptor 3, and its own pid in the environment at exec.
        passing = 'exec 3<&"$0"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        prefix = ("bash", "-c", passing, str(listener.fileno()))
        os.set_inheritable(listener.fileno(), True)
        program = [*prefix, sys.executable, "-I", "-m", "seaway_daemon", "--config", str(daemon.config)]
        process = subprocess.Popen(program, close_fds=False)
        until(daemon.answers, 15)
        process.terminate()
        assert process.wait(10) == 0
        assert daemon.socket.exists()


_NEW_KEY = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def _certificates(directory: Path) -> None:
    """An authority, and a server's and a client's certificate of it, and a stranger's."""
    for name in ("authority", "stranger"):
        _openssl(directory, f"{_NEW_KEY} -x509 -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}")
    for name, authority in (("server", "authority"), ("client", "authority"), ("foreign", "stranger")):
        _openssl(directory, f"{_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signer = f"-CA {authority}.pem -CAkey {authority}.key -CAcreateserial"
        _openssl(directory, f"x509 -req -in {name}.csr {signer} -out {name}.pem -days 2")


def _openssl(directory: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True)


def _client(directory: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "authority.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return context


async def test_tcp_lets_in_those_with_a_certificate_alone(nats_server: NatsServer, tmp_path: Path) -> None:
    _certificates(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_authority": "authority.pem"}
    files = {setting: str(tmp_path / name) for setting, name in names.items()}
    daemon = Daemon(nats_server, tmp_path, tcp=f"127.0.0.1:{port}", **files)
    process = daemon.start()
    try:
        await asyncio.to_thread(until, daemon.answers, 15)
        async with aiohttp.ClientSession() as http:
            url = f"https://127.0.0.1:{port}/_ping"
            async with http.get(url, ssl=_client(tmp_path, "client")) as answer:
                assert answer.status == 200
            for name in ("", "foreign"):
                with pytest.raises(aiohttp.ClientError):
                    async with http.get(url, ssl=_client(tmp_path, name)) as answer:
                        await answer.read()
            with pytest.raises(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{port}/_ping") as answer:
                    await answer.read()
    finally:
        process.terminate()
        process.wait(10)


async def test_certificates_are_renewed_while_connections_go_on(nats_server: NatsServer, tmp_path: Path) -> None:
    for generation in ("old", "new"):
        (tmp_path / generation).mkdir()
        _certificates(tmp_path / generation)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_authority": "authority.pem"}
    files = {setting: str(tmp_path / name) for setting, name in names.items()}
    _install(tmp_path / "old", tmp_path)
    daemon = Daemon(nats_server, tmp_path, tcp=f"127.0.0.1:{port}", **files)
    process = daemon.start()
    old, new = (_client(tmp_path / generation, "client") for generation in ("old", "new"))
    try:
        await asyncio.to_thread(until, daemon.answers, 15)
        url = f"https://127.0.0.1:{port}/_ping"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as kept,
            aiohttp.ClientSession() as http,
        ):
            async with kept.get(url, ssl=old) as answer:
                assert answer.status == 200
            (tmp_path / "server.pem").write_text("no certificate")
            process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(until, lambda: "what was before holds" in daemon.log, 15)
            async with http.get(url, ssl=old, headers={"Connection": "close"}) as answer:
                assert answer.status == 200
            _install(tmp_path / "new", tmp_path)
            process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(
                until, lambda: "Reloaded; no setting has changed" in daemon.log.split("holds")[-1], 15
            )
            async with http.get(url, ssl=new) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):  # its authority isn't ours any more
                async with aiohttp.ClientSession() as fresh, fresh.get(url, ssl=_lenient(tmp_path / "old")) as answer:
                    await answer.read()
            async with kept.get(url, ssl=old) as answer:  # on the connection that was open: a new one couldn't be made
                assert answer.status == 200
    finally:
        process.terminate()
        process.wait(10)


def _install(source: Path, target: Path) -> None:
    for name in ("server.pem", "server.key", "authority.pem"):
        (target / name).write_bytes((source / name).read_bytes())


def _lenient(directory: Path) -> ssl.SSLContext:
    """A client that takes any server, with the certificate of `directory`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(directory / "client.pem", directory / "client.key")
    return context
