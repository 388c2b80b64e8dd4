"""Keys that a host makes for itself, and what only it can open.

The secret halves never leave the host: it sends a certificate request for its TLS key, the public name of its leaf's
user key, and the public half of a key to which a hub's keys are sealed (X25519, HKDF and ChaCha20-Poly1305: RFC 7748,
RFC 5869, RFC 8439).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID
from seaway_protocol.errors import InvalidArgument

_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw
_PUBLIC = 32
_NONCE = bytes(12)
"""Each box is sealed once, by a key made for it."""


@dataclass(frozen=True)
class TlsKey:
    """A TLS key and the request for its certificate, both PEM."""

    key: str
    request: str


def new_tls_key(node: str) -> TlsKey:
    """A new key (P-256) for a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return TlsKey(secret.decode(), request.public_bytes(serialization.Encoding.PEM).decode())


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
