"""A host's place in the fleet, on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from seaway_fleet.place import LEAF, Place, Standing
from seaway_service import durable

STANDING = Standing(fleet="home", node="h1", role="controller", addresses=("10.0.0.1:7422",), key="U1", issued=1)


def test_a_host_is_in_a_fleet_or_it_is_not(tmp_path: Path) -> None:
    place = Place(tmp_path / "fleet")
    assert place.read() == Standing()
    place.take(STANDING, {LEAF: "secret"})
    assert place.read() == STANDING
    assert stat.S_IMODE((tmp_path / "fleet" / LEAF).stat().st_mode) == 0o600
    place.give_up()
    assert place.read() == Standing() and not list(tmp_path.iterdir())


def test_it_stays_in_with_other_files(tmp_path: Path) -> None:
    place = Place(tmp_path / "fleet")
    place.take(STANDING, {LEAF: "secret"})
    place.update({LEAF: "another"}, key="U2")
    place.update({}, addresses=("h9:1",))
    now = place.read()
    assert (now.key, now.addresses, now.fleet) == ("U2", ("h9:1",), "home")
    assert (tmp_path / "fleet" / LEAF).read_text() == "another"


def test_what_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path / "fleet")
    with pytest.raises(OSError):
        place.take(STANDING, {"a": "whole", "no/directory": "of this name"})
    assert not list(tmp_path.iterdir())


def test_what_a_power_cut_left_half_made_goes(tmp_path: Path) -> None:
    (tmp_path / "fleet.new").mkdir()
    (tmp_path / "fleet.new" / LEAF).write_text("half")
    place = Place(tmp_path / "fleet")
    assert place.read() == Standing()
    place.tidy()
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_in_one_step_or_stays(tmp_path: Path) -> None:
    file = tmp_path / "key"
    durable.write(file, "one", 0o600)
    durable.write(file, b"two", 0o640, os.getuid())
    assert file.read_text() == "two" and stat.S_IMODE(file.stat().st_mode) == 0o640
    with pytest.raises(OSError):
        durable.write(tmp_path / "absent" / "key", "three")
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
