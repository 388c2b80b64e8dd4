"""Join tokens: one line that a person carries to the joining host. Pure.

    swf1.<base64url of msgpack>.<four bytes of its digest>

It holds all that a stranger needs to come in, and to know that it comes in where it was sent: where the hubs are, the
fleet's certificate authority, a short-lived credential for the one question "may I join", and the token's own secret.
The digest at the end finds what was cut off when it was copied.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import ssl

import msgspec
from seaway_protocol.errors import InvalidArgument

PREFIX = "swf1"
_CHECK = 4


class JoinToken(msgspec.Struct, frozen=True, array_like=True):
    """`authority` is the CA's certificate (DER), `credential` a `.creds` text; `secret` is known to nobody else."""

    fleet: str
    addresses: tuple[str, ...]
    authority: bytes
    credential: str
    secret: str

    @property
    def key(self) -> str:
        """What the fleet remembers it by."""
        return key_of(self.secret)

    @property
    def certificate(self) -> str:
        """The certificate authority's certificate, PEM."""
        return ssl.DER_cert_to_PEM_cert(self.authority)


def new_secret() -> str:
    """A secret nobody guesses."""
    return secrets.token_hex(16)


def key_of(secret: str) -> str:
    """A secret's digest: whoever reads the fleet's memory can't join with it."""
    return hashlib.sha256(f"seaway join token {secret}".encode()).hexdigest()[:32]


def encode(token: JoinToken) -> str:
    """As one line."""
    body = msgspec.msgpack.encode(token)
    return f"{PREFIX}.{_text(body)}.{_text(hashlib.sha256(body).digest()[:_CHECK])}"


def decode(line: str) -> JoinToken:
    """The token of a line. Raises InvalidArgument with what is wrong with it."""
    prefix, _, rest = line.strip().partition(".")
    text, _, check = rest.partition(".")
    if prefix != PREFIX:
        raise InvalidArgument(f"cannot join: the token doesn't begin with {PREFIX}.; make one with: seaway fleet token")
    try:
        body = _bytes(text)
        whole = _bytes(check) == hashlib.sha256(body).digest()[:_CHECK]
        if whole:
            return msgspec.msgpack.decode(body, type=JoinToken)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass
    raise InvalidArgument("cannot join: the token isn't whole; copy the line again, all of it")


def der(certificate: str) -> bytes:
    """A PEM certificate as bytes: it is shorter so."""
    return ssl.PEM_cert_to_DER_cert(certificate)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
