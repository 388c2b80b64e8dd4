"""Keys that hosts make for themselves."""

from __future__ import annotations

import pytest
from cryptography import x509
from seaway_fleet.keys import Box, new_tls_key, seal
from seaway_protocol.errors import InvalidArgument


def test_only_the_holder_opens_a_box() -> None:
    box = Box()
    sealed = seal(b"keys", box.public)
    assert b"keys" not in sealed and box.open(sealed) == b"keys"
    for other, content in ((Box(), sealed), (box, sealed[:-1]), (box, b""), (box, sealed[:32] + b"x" + sealed[33:])):
        with pytest.raises(InvalidArgument, match="cannot open"):
            other.open(content)
    with pytest.raises(InvalidArgument, match="no X25519 key"):
        seal(b"keys", b"short")


def test_a_request_names_its_host_and_is_signed_with_its_key() -> None:
    made = new_tls_key("h1")
    request = x509.load_pem_x509_csr(made.request.encode())
    assert request.is_signature_valid and request.subject.rfc4514_string() == "CN=h1"
    assert "PRIVATE KEY" in made.key and "PRIVATE" not in made.request
