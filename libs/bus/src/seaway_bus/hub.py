"""A fleet's hub: its keys, what they issue, and the configuration of its server on this host.

    <directory>/
      fleet.json           the fleet's name
      keys/                0700: what makes a hub; the same on each of a fleet's hubs
      authority.pem        the certificate authority's certificate
      host.pem host.key    this hub's own certificate and key, put there by `install_certificate`
      nats-server.conf     what the server reads; holds the secret of the hubs' cluster, so it is the server's alone
      settings.json        what it was written from, for the next version of us to write it again (`refresh_hub`)
      digest               of all that was written from

A hub listens on three ports in a row (`hub_address`): leaves come to the first, who wants to join to the second, other
hubs to the third. All speak TLS. Leaves and hubs show a certificate of the fleet's; a leaf has a token besides, and
hubs share a secret, since a host's certificate must not make it a hub.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from seaway_protocol.errors import Conflict, InvalidArgument, NotFound
from seaway_service import durable

from seaway_bus import roles
from seaway_bus.codec import MAX_PAYLOAD
from seaway_bus.credentials import Key, Scope, account_token, credentials, scoped_token
from seaway_bus.founding import Founding, found
from seaway_bus.hub_address import CLUSTER, JOIN, bracketed, is_loopback, join_url, split
from seaway_bus.keyring import kept_key, kept_operator_token
from seaway_bus.memory import HUB_DOMAIN
from seaway_bus.server import MAX_CONTROL_LINE, accepts, nats_server_path
from seaway_bus.server_process import PID_FILE, reload_server

GENERATION = 1
"""Counts changes of what is written here that nothing else shows."""

_KEYS = {"operator": "operator", "fleet": "account", "system": "account", "joiner": "account", "release": "account"} | {
    f"leaf-{role}": "account" for role in roles.ROLES
}
_SECRET = "cluster.secret"  # noqa: S105 - a file's name
_AUTHORITY = "authority.key"


@dataclass(frozen=True)
class HubSettings:
    """What this host's hub is like.

    `address` is where others reach it, `host[:port]`; `peers` are the other hubs', all of them: the first hub begins
    without, and others come to it one after the other. `revoked` gives leaves'
    public user keys and the Unix time until which their tokens are void. `owner` is the user its server runs as.
    """

    node: str
    address: str
    store: Path
    peers: tuple[str, ...] = ()
    revoked: Mapping[str, int] = field(default_factory=dict)
    owner: int | None = None
    server: str = ""  # path of nats-server; empty looks for one
    max_store: int = 16 * 1024 * 1024 * 1024  # bytes of JetStream on disk


class HubKeys:
    """What makes a hub: keys of the fleet, and what they issue. Whoever has them is the fleet.

    Expiries are Unix seconds, keys public nkeys, certificates PEM.
    """

    def __init__(self, directory: Path) -> None:
        self._keys = directory / "keys"
        try:
            self.fleet: str = json.loads((directory / "fleet.json").read_text())["fleet"]
            self.certificate = (directory / "authority.pem").read_text()
            self._authority_key = (self._keys / _AUTHORITY).read_text()
            self.secret = (self._keys / _SECRET).read_text().strip()
        except FileNotFoundError as error:
            raise NotFound(f"cannot use {directory} as a hub: {error.filename} isn't there") from None

    @classmethod
    def make(cls, directory: Path, fleet: str) -> HubKeys:
        """The keys of a new fleet. Raises Conflict where there are some."""
        if (directory / "keys").exists():
            raise Conflict(f"cannot make the fleet {fleet}: {directory} has the keys of one already")
        from seaway_bus.certificates import new_authority

        authority = new_authority(fleet)
        contents = {name: Key.generate(kind).seed for name, kind in _KEYS.items()}
        contents |= {_SECRET: secrets.token_hex(32), _AUTHORITY: authority.key}
        return cls._lay_down(directory, fleet, authority.certificate, contents)

    @classmethod
    def install(cls, directory: Path, exported: bytes) -> HubKeys:
        """The keys of a fleet from what another of its hubs has exported. Raises InvalidArgument, Conflict."""
        try:
            told = json.loads(exported)
            fleet, certificate, contents = told["fleet"], told["certificate"], dict(told["keys"])
            if {*_KEYS, _SECRET, _AUTHORITY} - contents.keys():
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise InvalidArgument("cannot become a hub: these aren't a hub's keys") from None
        if (directory / "keys").exists():
            raise Conflict(f"cannot become a hub: {directory} has the keys of one already")
        return cls._lay_down(directory, fleet, certificate, contents)

    @classmethod
    def _lay_down(cls, directory: Path, fleet: str, certificate: str, contents: Mapping[str, str]) -> HubKeys:
        """The directory `keys` comes last, in one step: a hub has all its keys or none."""
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / "keys.new"
        fresh.mkdir(mode=0o700, exist_ok=True)
        for name, content in contents.items():
            path = fresh / (name if name in (_SECRET, _AUTHORITY) else f"{name}.nk")
            durable.write(path, content.rstrip() + "\n", 0o600)
        durable.write(directory / "authority.pem", certificate, 0o644)
        durable.write(directory / "fleet.json", json.dumps({"fleet": fleet}) + "\n", 0o644)
        fresh.rename(directory / "keys")
        return cls(directory)

    def export(self) -> bytes:
        """Everything, for another host that is to be a hub. To be sealed for it."""
        keys = {name: self.key(name).seed for name in _KEYS}
        keys |= {_SECRET: self.secret, _AUTHORITY: self._authority_key}
        return json.dumps({"fleet": self.fleet, "certificate": self.certificate, "keys": keys}).encode()

    def key(self, name: str) -> Key:
        """One of the keys; "release" signs what the fleet is upgraded with."""
        return kept_key(self._keys, name, _KEYS[name])

    @property
    def release(self) -> str:
        """The public key that signs releases."""
        return self.key("release").public

    def leaf(self, node: str, role: str, key: str, expires: int, *, hub: bool = False) -> str:
        """The token (JWT) with which the holder of `key` may connect `node` to the hub."""
        kind = "hub" if hub else role
        if kind not in roles.ROLES:
            raise InvalidArgument(f"cannot issue a credential to {node}: {role!r} is no role")
        signing, account = self.key(f"leaf-{kind}"), self.key("fleet").public
        return scoped_token(signing, account, key, node, expires=expires)

    def joiner(self, name: str, expires: int) -> str:
        """A credential for whoever may ask to join, and nothing else: the text of a `.creds` file."""
        user = Key.generate("user")
        token = scoped_token(self.key("joiner"), self.key("fleet").public, user.public, name, expires=expires)
        return credentials(token, user)

    def host_certificate(self, request: str, node: str, address: str, expires: int) -> str:
        """A host's certificate, for its request. Raises InvalidArgument."""
        from seaway_bus.certificates import Authority, issue  # only where they are issued: it needs the extra `hub`

        return issue(Authority(self.certificate, self._authority_key), request, node, address, expires)


@dataclass(frozen=True)
class Hub:
    """A written configuration. `changed` says that it wasn't what was there before."""

    directory: Path
    path: Path
    host: str
    port: int
    store: Path
    server: Path
    changed: bool

    @property
    def join_url(self) -> str:
        """Where, over TLS, who wants to join comes."""
        return join_url(f"{self.host}:{self.port}")

    def reload(self) -> bool:
        """Have the running server read its configuration again; False where none runs.

        It then cuts leaves whose tokens are revoked. New peers are taken up, too.
        """
        return reload_server(self.store)


def install_certificate(directory: Path, certificate: str, key: str, owner: int | None = None) -> None:
    """Put this host's certificate and key where its hub finds them."""
    durable.write(directory / "host.key", key, 0o600, owner)
    durable.write(directory / "host.pem", certificate, 0o644)


def write_hub(directory: Path, settings: HubSettings) -> Hub:
    """Write, or bring up to date, the hub's configuration; safe to repeat.

    Its keys (`HubKeys`) and its certificate must be there. Where it is the first, what it keeps is begun (`founding`).
    Raises NotFound where they aren't, InvalidArgument, Unavailable.
    """
    keys, server = HubKeys(directory), nats_server_path(settings.server)
    host, port = split(settings.address)
    for name in ("host.pem", "host.key"):
        if not (directory / name).exists():
            raise NotFound(f"cannot configure the hub: {directory / name} isn't there")
    settings.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.owner is not None:
        os.chown(settings.store, settings.owner, -1)
        os.chown(directory / "host.key", settings.owner, -1)
    if not settings.peers:
        found(_founding(keys, settings, server))
    path, digest = directory / "nats-server.conf", _digest(directory, settings, server)
    changed = True
    with contextlib.suppress(FileNotFoundError):
        changed = not path.exists() or (directory / "digest").read_text() != digest
    if changed:
        text = _configuration(directory, keys, settings, (host, port))
        flags = "feature_flags { js_ack_fc_v2: false }\n"
        text += flags if accepts(server, flags, directory) else ""
        durable.write(path, text, 0o600, settings.owner)
        durable.write(directory / "settings.json", json.dumps(_plain(settings)) + "\n", 0o644)
        durable.write(directory / "digest", digest, 0o644)
    return Hub(directory, path, host, port, settings.store, server, changed)


def refresh_hub(directory: Path) -> Hub:
    """Write the configuration as this version does, from what it was written from. Raises NotFound."""
    try:
        told = json.loads((directory / "settings.json").read_text())
    except FileNotFoundError:
        raise NotFound(f"cannot configure the hub: {directory} isn't one's") from None
    known = {f.name for f in fields(HubSettings)}
    values = {name: value for name, value in told.items() if name in known}
    return write_hub(
        directory, HubSettings(**{**values, "store": Path(values["store"]), "peers": tuple(values["peers"])})
    )


def _plain(settings: HubSettings) -> dict[str, object]:
    return {**asdict(settings), "store": str(settings.store)}


def _founding(keys: HubKeys, settings: HubSettings, server: Path) -> Founding:
    return Founding(
        name=server_name(settings.node),
        cluster=keys.fleet,
        store=settings.store,
        operator=keys.key("operator"),
        system=keys.key("system"),
        server=server,
        owner=settings.owner,
    )


def server_name(node: str) -> str:
    """The name of the hub's server on a host."""
    return f"seaway-hub-{node}"


def _digest(directory: Path, settings: HubSettings, server: Path) -> str:
    parts = [GENERATION, settings, str(server), server.stat().st_mtime_ns, roles.joiner()]
    parts += [roles.leaf(role) for role in roles.ROLES]
    parts += [(directory / name).read_bytes() for name in ("host.pem", "authority.pem")]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _configuration(directory: Path, keys: HubKeys, settings: HubSettings, at: tuple[str, int]) -> str:
    """nats-server.conf. The syntax is a superset of JSON, so JSON's quoting is right for every value."""
    quoted = json.dumps
    operator, fleet, system = keys.key("operator"), keys.key("fleet"), keys.key("system")
    scopes = [Scope(role, keys.key(f"leaf-{role}").public, roles.leaf(role), "LEAFNODE") for role in roles.ROLES]
    scopes.append(Scope("joiner", keys.key("joiner").public, roles.joiner(), "STANDARD"))
    account = account_token(operator, fleet, "FLEET", jetstream=True, scopes=scopes, revoked=settings.revoked)
    system_account = account_token(operator, system, "SYS", jetstream=False)
    host, port = at
    listen = host if is_loopback(host) else "0.0.0.0"
    tls = (
        f"cert_file: {quoted(str(directory / 'host.pem'))}, key_file: {quoted(str(directory / 'host.key'))}, "
        f"ca_file: {quoted(str(directory / 'authority.pem'))}, timeout: 10"
    )
    return f"""# Written by seaway-bus; changes are lost.
server_name: {quoted(server_name(settings.node))}
host: {quoted(listen)}
port: {port + JOIN}
pid_file: {quoted(str(settings.store / PID_FILE))}
tls {{ {tls}, handshake_first: true }}
max_payload: {MAX_PAYLOAD}
max_control_line: {MAX_CONTROL_LINE}
ping_interval: "10s"
ping_max: 2

leafnodes {{
  no_advertise: true
  host: {quoted(listen)}
  port: {port}
  tls {{ {tls}, verify: true, handshake_first: true }}
}}
{_cluster(keys, settings, (listen, port), tls)}
operator: {quoted(kept_operator_token(directory / "keys", operator, system))}
system_account: {quoted(system.public)}
resolver: MEMORY
resolver_preload {{
  {fleet.public}: {quoted(account)}
  {system.public}: {quoted(system_account)}
}}

jetstream {{
  store_dir: {quoted(str(settings.store))}
  domain: {quoted(HUB_DOMAIN)}
  sync_interval: always
  max_memory_store: {64 * 1024 * 1024}
  max_file_store: {settings.max_store}
}}
"""


def _cluster(keys: HubKeys, settings: HubSettings, listen: tuple[str, int], tls: str) -> str:
    """The way to the other hubs. There is one without others, too: to itself, since the server wants to see one."""
    quoted = json.dumps
    hubs = [split(address) for address in settings.peers or (settings.address,)]
    routes = [f"nats-route://hub:{keys.secret}@{bracketed(host)}:{port + CLUSTER}" for host, port in hubs]
    return f"""
cluster {{
  name: {quoted(keys.fleet)}
  host: {quoted(listen[0])}
  port: {listen[1] + CLUSTER}
  authorization {{ user: hub, password: {quoted(keys.secret)}, timeout: 10 }}
  tls {{ {tls}, verify: true }}
  no_advertise: true
  routes: {json.dumps(routes)}
}}
"""
