"""What a version has written the next one reads, and the other way round, after a rollback: tests/unit/frozen.

A release adds its own page: `PYTHONPATH=tests python -m support.disk tests/unit/frozen/disk-<major.minor>.txt`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support import disk

ROOT = Path(__file__).parents[2]
FROZEN = sorted((ROOT / "tests/unit/frozen").glob("disk-*.txt"))
_NEW = re.compile(r"(?P<what>struct \S+|column \S+ \S+) .*")


def demanded(before: list[str], now: list[str]) -> list[str]:
    """New fields and columns, without a default, of what the version before writes, too."""
    known = {match["what"] for line in before if (match := _NEW.fullmatch(line))}
    new = [(line, match) for line in now if line not in set(before) and (match := _NEW.fullmatch(line))]
    return [line for line, match in new if match["what"] in known and not line.endswith(" = default")]


def test_there_is_a_page() -> None:
    assert FROZEN, "the first release's page is missing"


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_nothing_that_a_release_reads_disappears(path: Path) -> None:
    now = set(disk.facts())
    assert [line for line in path.read_text().splitlines() if line not in now] == [], "no rollback could read it"


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_what_a_release_does_not_write_is_not_demanded(path: Path) -> None:
    assert demanded(path.read_text().splitlines(), list(disk.facts())) == [], "give it a default"


def test_packaged_settings_say_nothing_that_the_release_before_would_refuse() -> None:
    """A rollback leaves the settings file as it is, and services refuse what they don't know."""
    known = {tuple(line.split()[1:]) for line in FROZEN[-1].read_text().splitlines() if line.startswith("setting ")}
    for service in disk.SETTINGS:
        said = tomllib.loads((ROOT / "packaging/settings" / f"{service}.toml").read_text())
        assert [name for name in said if (service, name) not in known] == [], f"leave it out of {service}.toml"


def test_a_column_or_field_without_a_default_is_noticed() -> None:
    before = ["struct a.B c: str", "column state.db t id: TEXT key"]
    new = ["struct a.B d: str", "struct a.B e: str = default", "struct a.New f: str", "column state.db t x: TEXT"]
    assert demanded(before, [*before, *new]) == [new[0], new[3]]
