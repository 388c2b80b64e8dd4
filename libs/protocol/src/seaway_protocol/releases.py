"""A release as it is published to a fleet: a manifest of packages, signed with the fleet's release key. Pure.

Its text is a line with the key and the signature, then the manifest in JSON, which is what was signed:

    UB7…K2 3q2+7w==
    {"id": "20261121-1855", "serial": 1795287300000, "packages": [{"service": "daemon", "version": "0.1.1", …}]}

Objects in the fleet's store: a package is named by its digest, a release `release.<id>`.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from seaway_protocol.errors import InvalidArgument

CONTEXT = b"seaway release 1\n"
"""What is signed begins with this, so that nothing else that was signed with the key passes for a manifest."""

_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"seaway(-[a-z]+)?_[0-9A-Za-z.+~]+_[a-z0-9]+\.deb")


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package: the service and version that it brings, its file's name and size in bytes, its SHA-256 in hex."""

    service: str
    version: str
    name: str
    size: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs together. `serial` grows from release to release: no host goes back to an older one by itself."""

    id: str
    serial: int
    packages: tuple[Package, ...]

    def services(self) -> dict[str, str]:
        """The version of each service."""
        return {each.service: each.version for each in self.packages}


class SignedManifest(msgspec.Struct, frozen=True):
    """A manifest's bytes, and who has signed them; nothing of it is to be believed before the signature was checked."""

    key: str
    signature: bytes
    body: bytes

    def text(self) -> bytes:
        """As it is published."""
        return f"{self.key} {base64.b64encode(self.signature).decode()}\n".encode() + self.body

    def message(self) -> bytes:
        """What the signature is of."""
        return CONTEXT + self.body


def body(manifest: Manifest) -> bytes:
    """A manifest as bytes to be signed."""
    return msgspec.json.encode(manifest)


def parse(text: bytes) -> SignedManifest:
    """The parts of a published text. Raises InvalidArgument where it isn't one."""
    head, newline, rest = text.partition(b"\n")
    key, space, signature = head.partition(b" ")
    try:
        if not (newline and space and key.isalnum()):
            raise ValueError
        return SignedManifest(key.decode("ascii"), base64.b64decode(signature, validate=True), rest)
    except (ValueError, binascii.Error):
        raise InvalidArgument("cannot use the release: its manifest isn't signed; publish it again") from None


def manifest(body: bytes) -> Manifest:
    """The manifest in bytes whose signature was checked. Raises InvalidArgument where it isn't one of this form."""
    try:
        found = msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"cannot use the release: its manifest doesn't fit: {error}") from None
    bad = [each.name for each in found.packages if not (_NAME.fullmatch(each.name) and _DIGEST.fullmatch(each.digest))]
    if bad or not _ID.fullmatch(found.id):
        raise InvalidArgument(f"cannot use the release: {bad[0] if bad else found.id!r} isn't a name that it may have")
    return found


def release_object(id: str) -> str:
    """The name under which a release is published."""
    return f"release.{id}"


def package_object(digest: str) -> str:
    """The name under which a package is published."""
    return f"sha256.{digest}"
