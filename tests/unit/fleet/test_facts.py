"""What a host tells of itself."""

from __future__ import annotations

from pathlib import Path

from seaway_fleet.facts import installed, load, memory


def test_memory_is_told_in_bytes() -> None:
    text = "MemTotal:        8000 kB\nMemFree:  1 kB\nMemAvailable:    3000 kB\nHugePages_Total:       0\n"
    assert memory(text) == (8000 * 1024, 3000 * 1024)
    assert memory("") == (0, 0)
    assert all(memory(Path("/proc/meminfo").read_text()))


def test_load_is_told_in_thousandths() -> None:
    assert load("1.25 0.50 0.10 2/345 6789\n") == 1250


def test_versions_are_what_the_links_say(tmp_path: Path) -> None:
    for name in ("daemon", "cli"):
        (tmp_path / name / "1.2.0").mkdir(parents=True)
        (tmp_path / name / "current").symlink_to("1.2.0")
    (tmp_path / "shim").mkdir()
    assert installed(tmp_path) == {"cli": "1.2.0", "daemon": "1.2.0"}
    assert installed(tmp_path / "absent") == {}
