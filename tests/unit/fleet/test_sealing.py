"""What is sealed for one host alone."""

from __future__ import annotations

import pytest
from seaway_fleet.sealing import Box, seal
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
