"""A new version says whether it can run here before it becomes the current one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from seaway_service.selftest import unusable


def test_every_service_can_be_imported_whole() -> None:
    for package in (
        "seaway_daemon",
        "seaway_supervisor",
        "seaway_shim",
        "seaway_runtime",
        "seaway_network",
        "seaway_fleet",
    ):
        assert list(unusable(package)) == []


def test_a_module_that_is_broken_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_service").mkdir()
    (tmp_path / "broken_service" / "__init__.py").write_text("")
    (tmp_path / "broken_service" / "late.py").write_text("import there_is_no_such_library")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(unusable("broken_service")) == [
        "cannot import broken_service.late: No module named 'there_is_no_such_library'"
    ]
    for name in [each for each in sys.modules if each.startswith("broken_service")]:
        del sys.modules[name]
