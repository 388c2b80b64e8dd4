"""What is sealed for one host alone: a hub's keys, on their way to another host that is to be a hub.

X25519, HKDF and ChaCha20-Poly1305: RFC 7748, RFC 5869, RFC 8439. The servers on the way see none of it.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from seaway_protocol.errors import InvalidArgument

_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw
_PUBLIC = 32
_NONCE = bytes(12)
"""Each box is sealed once, by a key made for it."""


class Box:
    """What others can close and only we can open."""

    def __init__(self) -> None:
        self._key = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        """What others close it with."""
        return self._key.public_key().public_bytes(*_RAW)

    def open(self, sealed: bytes) -> bytes:
        """What is in it. Raises InvalidArgument where it was closed for somebody else, or changed."""
        try:
            sender = X25519PublicKey.from_public_bytes(sealed[:_PUBLIC])
            shared = _shared(self._key.exchange(sender), sealed[:_PUBLIC], self.public)
            return ChaCha20Poly1305(shared).decrypt(_NONCE, sealed[_PUBLIC:], None)
        except (InvalidTag, ValueError):
            raise InvalidArgument("cannot open what was sealed for this host: it was changed on its way") from None


def seal(content: bytes, public: bytes) -> bytes:
    """Close it for the holder of a box. Raises InvalidArgument where `public` is no box's."""
    try:
        receiver = X25519PublicKey.from_public_bytes(public)
    except ValueError:
        raise InvalidArgument("cannot seal the hub's keys: the host has sent no X25519 key") from None
    once = X25519PrivateKey.generate()
    sender = once.public_key().public_bytes(*_RAW)
    return sender + ChaCha20Poly1305(_shared(once.exchange(receiver), sender, public)).encrypt(_NONCE, content, None)


def _shared(secret: bytes, sender: bytes, receiver: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, sender + receiver, b"seaway hub keys").derive(secret)
