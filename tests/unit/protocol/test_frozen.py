"""What a release has said on the wire is said for ever: libs/protocol/frozen holds the facts of each.

A release adds its own page, `python -m seaway_protocol --facts >libs/protocol/frozen/<major.minor>.txt`, and no page is
ever changed afterwards. What must go gets a new interface version beside the old one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from seaway_protocol import page

FROZEN = sorted((Path(__file__).parents[3] / "libs" / "protocol" / "frozen").glob("*.txt"))
_FIELD = re.compile(r"message (?P<message>\S+) \S+: .*?(?P<default> = default)?")


def gone(before: list[str], now: list[str]) -> list[str]:
    """What was said and is no longer."""
    said = set(now)
    return [line for line in before if line not in said]


def demanded(before: list[str], now: list[str]) -> list[str]:
    """Fields of messages known before that are new and have no default: who is of that release doesn't send them."""
    said = set(before)
    known = {name for line in before for name in re.findall(r"[a-z_]+\.[A-Z]\w+", line)}
    fields = [(line, match) for line in now if line not in said and (match := _FIELD.fullmatch(line))]
    return [line for line, match in fields if match["message"] in known and not match["default"]]


def test_there_is_a_page() -> None:
    assert FROZEN, "the first release's page is missing"


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_nothing_that_a_release_says_disappears(path: Path) -> None:
    now = list(page.facts())
    assert gone(path.read_text().splitlines(), now) == [], "services of that release still say it, or wait for it"


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_what_a_release_does_not_say_is_not_demanded(path: Path) -> None:
    assert demanded(path.read_text().splitlines(), list(page.facts())) == [], "give it a default"


def test_a_field_without_a_default_is_noticed() -> None:
    before = ["shim.v1 call start: shim.Start -> kinds.Empty", "message shim.Start id: str"]
    now = [*before, "message shim.Start why: str", "message shim.Start when: int = default", "message shim.New id: str"]
    assert demanded(before, now) == ["message shim.Start why: str"]
    assert demanded(before, [*before, "message kinds.Empty a: str"]) == ["message kinds.Empty a: str"]
    assert gone(now, before) == now[2:]
