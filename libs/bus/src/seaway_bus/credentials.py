"""Keys and JWTs of the bus: an operator, an account for the host, a user for each principal, and shims' own.

NATS's decentralised authentication: each token is a JSON Web Token signed with Ed25519 by the level above.
Source: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt and
https://github.com/nats-io/jwt (version 2 claims).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import nkeys
from seaway_protocol.errors import InvalidArgument

from seaway_bus.permissions import Permissions

_UNLIMITED = -1
_KINDS = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}


@dataclass(frozen=True)
class Key:
    """An nkey: its public name and its secret seed."""

    public: str
    seed: str

    @classmethod
    def generate(cls, kind: str) -> Key:
        """A new operator, account or user key."""
        return cls.of(nkeys.encode_seed(os.urandom(32), _KINDS[kind]).decode())

    @classmethod
    def of(cls, seed: str) -> Key:
        """The key of a seed. Raises InvalidArgument where it isn't one."""
        try:
            return cls(nkeys.from_seed(bytearray(seed.encode())).public_key.decode(), seed)
        except (nkeys.NkeysError, ValueError) as error:
            raise InvalidArgument(f"cannot use a bus key: it isn't an nkey seed ({type(error).__name__})") from None

    def sign(self, data: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes."""
        return bytes(nkeys.from_seed(bytearray(self.seed.encode())).sign(data))


def operator_token(operator: Key, system: Key) -> str:
    """The operator's token, signed by itself."""
    return _token(
        operator, operator.public, "seaway", {"type": "operator", "version": 2, "system_account": system.public}
    )


@dataclass(frozen=True)
class Scope:
    """What users may do whose tokens are signed with `key`; `connection` is how they may come (STANDARD, LEAFNODE)."""

    role: str
    key: str
    allowed: Permissions
    connection: str = ""


def account_token(
    operator: Key,
    account: Key,
    name: str,
    *,
    jetstream: bool,
    scopes: Iterable[Scope] = (),
    revoked: Mapping[str, int] | None = None,
) -> str:
    """An account's token. `revoked` gives users' public keys and the Unix time until which their tokens are void."""
    limits: dict[str, Any] = dict.fromkeys(
        ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED
    )
    limits["wildcards"] = True
    if jetstream:
        limits |= dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), _UNLIMITED)
    claims: dict[str, Any] = {"type": "account", "version": 2, "limits": limits, "default_permissions": {}}
    if signing_keys := [_scope(scope) for scope in scopes]:
        claims["signing_keys"] = signing_keys
    if revoked:
        claims["revocations"] = dict(revoked)
    return _token(operator, account.public, name, claims)


def _scope(scope: Scope) -> dict[str, Any]:
    template = _user_limits() | _allowances(scope.allowed)
    if scope.connection:
        template["allowed_connection_types"] = [scope.connection]
    return {"kind": "user_scope", "key": scope.key, "role": scope.role, "template": template}


def user_token(account: Key, user: Key, name: str, allowed: Permissions | None, *, expires: int | None = None) -> str:
    """A user's token; without permissions, for the system account's own user, everything in its account.

    `expires` is a Unix time, at which the server ends the user's connections.
    """
    claims = {"type": "user", "version": 2, **_user_limits(), **(_allowances(allowed) if allowed else {})}
    return _token(account, user.public, name, claims, expires)


def credentials(token: str, user: Key) -> str:
    """The text of a `.creds` file, as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def shim_key(signing: Key, account: Key) -> str:
    """The text of the file from which the nursery mints shims' credentials: the account and the signing seed."""
    return f"{account.public} {signing.seed}\n"


def mint_shim(seed: str, node: str, container_id: str) -> str:
    """A shim's credential, the text of a `.creds` file: good for its own container's subjects on `node` alone.

    `seed` is the text of the file `shim.key` that `server.write_configuration` makes. No server needs to be told:
    the token is signed by a key whose template the account states. About 0.4 ms.
    """
    try:
        account, signing_seed = seed.split()
    except ValueError:
        raise InvalidArgument("cannot mint a shim's credential: the key file isn't an account and a seed") from None
    user = Key.generate("user")
    token = scoped_token(Key.of(signing_seed), account, user.public, container_id, tags=(f"node:{node}",))
    return credentials(token, user)


def scoped_token(
    signing: Key, account: str, user: str, name: str, *, expires: int | None = None, tags: Iterable[str] = ()
) -> str:
    """A user's token that says no more than its name; what it may do stands in the account's token, with the key.

    `account` and `user` are public keys. `expires` is a Unix time, at which the server ends the user's connections.
    """
    claims: dict[str, Any] = {"type": "user", "version": 2, "issuer_account": account}
    if tags:
        claims["tags"] = list(tags)
    return _token(signing, user, name, claims, expires)


def _user_limits() -> dict[str, Any]:
    return {"subs": _UNLIMITED, "data": _UNLIMITED, "payload": _UNLIMITED}


def _allowances(allowed: Permissions) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "pub": {"allow": list(allowed.publish)},
        "sub": {"allow": list(allowed.subscribe)},
    }
    if allowed.answer_seconds:
        claims["resp"] = {"max": allowed.answers, "ttl": allowed.answer_seconds * 1_000_000_000}
    return claims


def _token(issuer: Key, subject: str, name: str, nats: dict[str, Any], expires: int | None = None) -> str:
    """A signed token: header, claims and signature, each base64url without padding."""
    claims: dict[str, Any] = {"iat": int(time.time()), "iss": issuer.public, "name": name, "sub": subject, "nats": nats}
    if expires is not None:
        claims["exp"] = expires
    claims["jti"] = base64.b32encode(hashlib.sha256(_json(claims)).digest()).decode().rstrip("=")
    head = f"{_base64(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_base64(_json(claims))}"
    return f"{head}.{_base64(issuer.sign(head.encode()))}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
