"""Join tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seaway_fleet.tokens import JoinToken, decode, encode, key_of, new_secret
from seaway_protocol.errors import InvalidArgument

TOKEN = JoinToken("home", ("10.0.0.1:7422", "h2:7422"), b"\x30\x82", "-----BEGIN NATS USER JWT-----", "ab" * 16)


def test_a_token_is_one_line_that_says_everything() -> None:
    line = encode(TOKEN)
    assert line.startswith("swf1.") and not set(line) & set(" \n+/=")
    assert decode(f"  {line}\n") == TOKEN


@given(st.data())
def test_one_that_was_not_copied_whole_is_refused(data: st.DataObject) -> None:
    line = encode(TOKEN)
    cut = data.draw(st.integers(0, len(line) - 1))
    with pytest.raises(InvalidArgument, match="cannot join: the token"):
        decode(line[:cut])


@given(st.integers(5, 400), st.characters())
def test_nor_is_one_that_was_changed_ever_taken_for_another(place: int, letter: str) -> None:
    line = encode(TOKEN)
    place = min(place, len(line) - 1)
    changed = line[:place] + letter + line[place + 1 :]
    try:
        assert decode(changed) == TOKEN
    except InvalidArgument as error:
        assert error.text.startswith("cannot join: the token")


def test_who_reads_the_fleets_memory_cannot_join_with_it() -> None:
    secret = new_secret()
    assert secret not in key_of(secret) and key_of(secret) == key_of(secret) != key_of(new_secret())
    assert TOKEN.key == key_of(TOKEN.secret)
