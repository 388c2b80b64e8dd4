"""SIGHUP: what changes while a service runs, and what is said of the rest."""

from __future__ import annotations

import logging

import pytest
from seaway_service import Lifecycle, Settings, SettingsError
from seaway_service.lifecycle import differing


class Own(Settings, frozen=True, kw_only=True):
    access_log: bool = False
    tcp: str = ""


def reloaded(lifecycle: Lifecycle) -> None:
    lifecycle._on_reload()


def test_only_what_can_change_while_it_runs_is_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle, seen = Lifecycle("daemon"), []
    lifecycle.reloads(Own(), lambda: Own(access_log=True, tcp="127.0.0.1:1", log_level="debug"))
    lifecycle.on_reload(seen.append, "access_log")
    lifecycle.on_reload(seen.append, "log_level")
    with caplog.at_level(logging.INFO, "seaway.service"):
        reloaded(lifecycle)
    assert seen == [Own(access_log=True, log_level="debug")] * 2
    assert caplog.messages == [
        "Reloaded access_log, log_level",
        "These settings change with the next restart, not before: tcp",
    ]


def test_settings_that_are_wrong_change_nothing_and_are_said(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle, seen = Lifecycle("daemon"), []

    def reread() -> Own:
        raise SettingsError("cannot use settings /x: tcp: no")

    lifecycle.reloads(Own(), reread)
    lifecycle.on_reload(seen.append, "access_log")
    reloaded(lifecycle)
    assert not seen
    assert caplog.messages == ["Cannot use settings /x: tcp: no; what was read before holds"]


def test_what_cannot_be_taken_over_keeps_nobody_else_from_it(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle, seen = Lifecycle("daemon"), []

    def refuse(_: Own) -> None:
        raise OSError("no such file")

    lifecycle.reloads(Own(), lambda: Own(access_log=True, log_level="error"))
    lifecycle.on_reload(refuse, "access_log")
    lifecycle.on_reload(seen.append, "log_level")
    reloaded(lifecycle)
    assert [each.log_level for each in seen] == ["error"]
    assert "Cannot reload access_log: no such file; what was before holds" in caplog.messages


def test_differing_keys() -> None:
    assert differing(Own(), Own(tcp="a:1", node="n2")) == {"tcp", "node"}
