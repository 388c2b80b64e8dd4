"""What an upgrade of the fleet is told to be, and how it is shown."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from seaway_bus.credentials import Key
from seaway_bus.signatures import verify
from seaway_cli.fleet import plan_file, publishing, upgrading
from seaway_cli.fleet.plan_file import PlanError, PlanFile
from seaway_cli.fleet.progress import drawn
from seaway_protocol.releases import Manifest

PLAN = """
from = "dist"
services = ["daemon"]
on = ["region=eu"]
[[waves]]
hosts = 1
on = ["canary"]
[[waves]]
percent = 25
[policy]
pause_between = "5m"
rollback = "all"
gate = "true"
"""


def test_a_plan_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    plan = plan_file.read(tmp_path / "plan.toml")
    assert plan.source == str(tmp_path / "dist")
    body = plan_file.body(plan, "r1")
    assert body["Waves"] == [
        {"Hosts": 1, "Percent": 0, "Labels": ["canary"]},
        {"Hosts": 0, "Percent": 25, "Labels": []},
    ]
    assert body["Policy"] | {"PauseBetween": 300, "Rollback": "all", "Gate": "true"} == body["Policy"]
    assert (body["Release"], body["Services"], body["On"]) == ("r1", ["daemon"], ["region=eu"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wave = 1", "cannot use the plan .*unknown field `wave`"),
        ("waves = 3", "cannot use the plan .*Expected `array`"),
        ("from = ", "cannot use the plan "),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(PlanError, match=says):
        plan_file.read(tmp_path / "plan.toml")


def test_durations_and_sizes() -> None:
    assert [plan_file.duration(each) for each in ("30", "30s", "5m", "2 min", "1h", 7)] == [30, 30, 300, 120, 3600, 7]
    assert [plan_file.wave(each) for each in ("3", "25%")] == [{"Hosts": 3}, {"Percent": 25}]
    for bad in ("", "x", "0", "-1", "1.5%"):
        with pytest.raises(PlanError):
            plan_file.wave(bad)
    with pytest.raises(PlanError, match="no duration"):
        plan_file.duration("soon")


def test_options_change_what_the_file_says() -> None:
    assert plan_file.body(PlanFile(), "r")["Policy"]["HostSeconds"] == 1800
    assert [(each.hosts, each.percent) for each in plan_file.sized(2, None)] == [(2, 0), (0, 25)]
    assert [(each.hosts, each.percent) for each in plan_file.sized(None, "10")] == [(10, 0)]
    assert plan_file.sized(None, None) == []


def test_packages_of_a_directory_and_the_signature_of_their_manifest(tmp_path: Path) -> None:
    for name in ("seaway-daemon_1.0_amd64.deb", "seaway-daemon_1.1_amd64.deb", "seaway-bus_1.0_amd64.deb", "x.txt"):
        (tmp_path / name).write_text(name)
    found = publishing.packages(tmp_path, ())
    assert [each.package.name for each in found] == ["seaway-bus_1.0_amd64.deb", "seaway-daemon_1.1_amd64.deb"]
    with pytest.raises(publishing.NotPublished, match="has no package of runtime"):
        publishing.packages(tmp_path, ("runtime", "bus"))
    with pytest.raises(publishing.NotPublished, match="run this on a host that runs the fleet's hub"):
        publishing.signing_key(tmp_path / "none")
    key = Key.generate("user")
    signed = publishing.sign(Manifest(id="r1", serial=1, packages=()), key)
    verify(key.public, signed.message(), signed.signature)


def plan_of(**changes: Any) -> dict[str, Any]:
    host = {
        "Node": "h1",
        "Wave": 0,
        "State": "working",
        "Says": "",
        "Services": [{"Service": "bus", "Before": "1", "After": "2", "State": "done", "Says": ""}],
        "Before": {"bus": "1", "daemon": "1"},
        "Now": {},
        "Kept": 0,
        "Restarted": [],
    }
    return {
        "Id": "20261121-1",
        "State": "running",
        "Says": "",
        "Wave": 0,
        "Waves": 2,
        "Leader": "h3",
        "RestUntil": 0,
        "Services": {"bus": "2", "daemon": "2"},
        "Hosts": [
            host,
            {**host, "Node": "h2", "State": "done", "Services": [], "Now": {"bus": "2", "daemon": "2"}, "Kept": 12},
            {**host, "Node": "h3", "State": "stuck", "Services": [], "Says": "daemon isn't well", "Restarted": ["c"]},
        ],
        **changes,
    }


def text(plan: dict[str, Any]) -> list[str]:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(plan, "the leader is away"))
    return [re.sub(r" +", " ", line).strip() for line in console.export_text().splitlines()]


def test_the_picture_has_a_row_for_each_host_and_a_mark_for_each_service() -> None:
    lines = text(plan_of())
    assert lines[0] == "upgrade 20261121-1 is running · wave 1 of 2 · led by h3"
    assert lines[1] == "the leader is away"
    assert lines[2].endswith(" 1 of 3 hosts")
    assert lines[3:] == [
        "WAVE HOST STATE BUS DAEMON CONTAINERS",
        "1 h1 working ✓ 2 ·",
        "1 h2 done ✓ 2 ✓ 2 12 kept",
        "1 h3 stuck · · 0 kept, 1 restarted daemon isn't well",
    ]


def test_of_many_hosts_those_at_work_are_shown() -> None:
    hosts = plan_of()["Hosts"]
    many = [{**hosts[1], "Node": f"done{n}"} for n in range(40)] + [{**hosts[0], "Node": "busy"}]
    lines = text(plan_of(Hosts=many))
    assert any("busy" in line for line in lines)
    assert lines[-1] == "… and 11 hosts more"


def test_begin_is_what_upgrade_does_by_default() -> None:
    result = CliRunner().invoke(upgrading.upgrade, ["--nonsense"], obj=None)
    assert "No such option" in result.output and "upgrade begin" in result.output
