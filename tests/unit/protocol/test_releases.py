"""A release's text, and what isn't one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seaway_bus.credentials import Key
from seaway_bus.signatures import verify
from seaway_protocol import releases
from seaway_protocol.errors import InvalidArgument, PermissionDenied
from seaway_protocol.releases import Manifest, Package, SignedManifest

PACKAGE = Package(service="cli", version="1~rc1", name="seaway-cli_1~rc1_amd64.deb", size=3, digest="ab" * 32)
KEY = Key.generate("user")


def signed(manifest: Manifest) -> SignedManifest:
    body = releases.body(manifest)
    return SignedManifest(KEY.public, KEY.sign(releases.CONTEXT + body), body)


def test_what_is_published_is_what_was_signed() -> None:
    manifest = Manifest(id="r1", serial=5, packages=(PACKAGE,))
    found = releases.parse(signed(manifest).text())
    verify(found.key, found.message(), found.signature)
    assert releases.manifest(found.body) == manifest
    assert manifest.services() == {"cli": "1~rc1"}


@given(st.binary(max_size=200))
def test_anything_else_is_refused_in_a_sentence(text: bytes) -> None:
    with pytest.raises(InvalidArgument, match="cannot use the release"):
        releases.manifest(releases.parse(text).body)


@given(st.integers(0, 1000), st.integers(1, 255))
def test_no_byte_may_be_changed(place: int, by: int) -> None:
    text = bytearray(signed(Manifest(id="r1", serial=5, packages=(PACKAGE,))).text())
    text[place % len(text)] ^= by
    with pytest.raises((InvalidArgument, PermissionDenied)):
        found = releases.parse(bytes(text))
        verify(found.key, found.message(), found.signature)
        assert found.key == KEY.public


@pytest.mark.parametrize("id", ["../up", "", "a b", "x" * 65])
def test_an_id_that_leads_elsewhere_is_refused(id: str) -> None:
    with pytest.raises(InvalidArgument, match="isn't a name that it may have"):
        releases.manifest(releases.body(Manifest(id=id, serial=1, packages=())))


@pytest.mark.parametrize(
    "bad", [{"name": "../seaway-cli_1_amd64.deb"}, {"name": "a.deb"}, {"digest": "../etc"}, {"digest": "AB" * 32}]
)
def test_a_package_of_a_name_that_leads_elsewhere_is_refused(bad: dict[str, str]) -> None:
    fields = {"service": "cli", "version": "1", "name": PACKAGE.name, "size": 3, "digest": PACKAGE.digest, **bad}
    with pytest.raises(InvalidArgument, match="isn't a name that it may have"):
        releases.manifest(releases.body(Manifest(id="r1", serial=1, packages=(Package(**fields),))))  # type: ignore[arg-type]


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="it isn't the public name of an nkey"):
        verify("U", b"", b"")
