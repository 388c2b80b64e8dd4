"""Ed25519 signatures by nkeys, of texts that aren't tokens of the bus: a fleet's releases.

Source: RFC 8032; https://github.com/nats-io/nkeys for the spelling of keys.
"""

from __future__ import annotations

import base64
import binascii

import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from seaway_protocol.errors import InvalidArgument, PermissionDenied

_KEY = 32
_CHECK = 2


def verify(public: str, message: bytes, signature: bytes) -> None:
    """Raises PermissionDenied where `signature` isn't that of `public` (an nkey's public name) over `message`.

    Raises InvalidArgument where `public` isn't a public name.
    """
    try:
        VerifyKey(_raw(public)).verify(message, signature)
    except (BadSignatureError, ValueError):
        raise PermissionDenied(f"the signature isn't that of the key {public}") from None


def _raw(public: str) -> bytes:
    """The 32 bytes of the key, between the prefix that says its kind and the checksum."""
    try:
        decoded = base64.b32decode(public + "=" * (-len(public) % 8))
    except (binascii.Error, ValueError):
        decoded = b""
    body, check = decoded[:-_CHECK], decoded[-_CHECK:]
    if len(body) == 1 + _KEY and nkeys.crc16(body).to_bytes(_CHECK, "little") == check:
        return body[1:]
    raise InvalidArgument(f"cannot use the key {public!r}: it isn't the public name of an nkey")
