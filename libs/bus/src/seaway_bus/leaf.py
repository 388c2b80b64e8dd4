"""A host's way to its fleet: what its own server's configuration says of the hub.

The host's fleet service keeps, in a directory of its own, what it was given when it was let in: `leaf.creds`,
`host.pem`, `host.key`, `authority.pem`, and `standing.json` with the hubs' addresses. A configuration is made from a
copy of them, that the server's user can read; without them the host is in no fleet.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from seaway_service import durable

from seaway_bus import roles
from seaway_bus.hub_address import leaf_url

FILES = ("leaf.creds", "host.pem", "host.key", "authority.pem")


@dataclass(frozen=True)
class Leaf:
    """Where the hubs are, and the files to show there, in `directory`. `digest` is of all of it."""

    directory: Path
    addresses: tuple[str, ...]
    digest: str


def read(directory: Path) -> Leaf | None:
    """What the fleet service keeps; None where the host is in no fleet."""
    try:
        addresses = tuple(json.loads((directory / "standing.json").read_bytes()).get("addresses", ()))
        contents = [(directory / name).read_bytes() for name in FILES]
    except FileNotFoundError:
        return None
    if not addresses:
        return None
    digest = hashlib.sha256(b"\0".join([repr(addresses).encode(), *contents])).hexdigest()
    return Leaf(directory, addresses, digest)


def lay_down(leaf: Leaf | None, directory: Path, owner: int | None) -> None:
    """Copy the files to where the server reads them, as its user's; remove them where the host is in no fleet."""
    if leaf is None:
        shutil.rmtree(directory, ignore_errors=True)
        return
    directory.mkdir(exist_ok=True, mode=0o700)
    if owner is not None:
        os.chown(directory, owner, -1)
    for name in FILES:
        durable.write(directory / name, (leaf.directory / name).read_text(), 0o600, owner)


def section(leaf: Leaf, directory: Path, account: str) -> str:
    """The server's way to the hub, for the host's own account (its public key); the files are in `directory`."""
    quoted = json.dumps
    file = {name: quoted(str(directory / name)) for name in FILES}
    return f"""
leafnodes {{
  reconnect: "1s"
  remotes: [
    {{
      urls: {quoted([leaf_url(address) for address in leaf.addresses])}
      account: {quoted(account)}
      credentials: {file["leaf.creds"]}
      tls {{
        cert_file: {file["host.pem"]}, key_file: {file["host.key"]}, ca_file: {file["authority.pem"]}
        handshake_first: true, timeout: 10
      }}
      # Whatever the hub allows: nobody outside asks this host's own services, or answers in their stead.
      deny_imports: {quoted(list(roles.local()))}
    }}
  ]
}}
"""
