"""What this host makes for itself, and what it gets for it: its keys, and the files that come of an admission."""

from __future__ import annotations

import time
from dataclasses import dataclass

from seaway_bus.certificates import new_request
from seaway_bus.credentials import Key, credentials
from seaway_protocol.enrolment import Admitted

from seaway_fleet.authority import Authority
from seaway_fleet.place import AUTHORITY, CERTIFICATE, KEY, LEAF, RELEASE, Standing


@dataclass(frozen=True)
class Keys:
    """The secret halves, which never leave this host: the leaf's user key, and the TLS key with its request (PEM)."""

    leaf: Key
    tls: str
    request: str

    @classmethod
    def make(cls, node: str) -> Keys:
        """New ones."""
        tls, request = new_request(node)
        return cls(Key.generate("user"), tls, request)


def own_admission(authority: Authority, keys: Keys, node: str, address: str, life: float) -> Admitted:
    """What a hub gives to itself: whoever has its keys needs nobody's leave."""
    expires = int(time.time()) + round(life)
    return Admitted(
        fleet=authority.fleet,
        role="controller",
        token=authority.leaf(node, "controller", keys.leaf.public, expires, hub=True),
        certificate=authority.host_certificate(keys.request, node, address, expires),
        authority=authority.certificate,
        expires=expires * 1_000_000_000,
        hub=True,
        addresses=(address,),
        release=authority.release,
    )


def files(admitted: Admitted, keys: Keys) -> dict[str, str]:
    """What is kept in this host's place."""
    return {
        LEAF: credentials(admitted.token, keys.leaf),
        AUTHORITY: admitted.authority,
        CERTIFICATE: admitted.certificate,
        KEY: keys.tls,
        RELEASE: f"{admitted.release}\n",
    }


def standing(admitted: Admitted, keys: Keys, node: str, address: str, now: int) -> Standing:
    """As what this host stands in the fleet that has let it in."""
    return Standing(
        fleet=admitted.fleet,
        node=node,
        role=admitted.role,
        hub=admitted.hub,
        addresses=admitted.addresses,
        address=address,
        key=keys.leaf.public,
        issued=now,
        expires=admitted.expires,
    )


def leaf_key(text: str) -> Key:
    """The user key in a `.creds` text. Raises InvalidArgument where there is none."""
    lines = text.splitlines()
    places = [place for place, line in enumerate(lines) if "BEGIN USER NKEY SEED" in line]
    return Key.of(lines[places[0] + 1].strip() if places else "")
