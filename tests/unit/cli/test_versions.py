"""Versions side by side: which is newer, which is current, which steps lead from one to another."""

from __future__ import annotations

from pathlib import Path

import pytest
from seaway_cli.upgrade import record, versions
from seaway_cli.upgrade.record import Record
from seaway_cli.upgrade.versions import Package, Refused, Step


def test_versions_sort_as_people_mean_them() -> None:
    wanted = ["0.9.0", "0.10.0~rc1", "0.10.0", "0.10.1", "1.0~beta2", "1.0"]
    assert sorted(reversed(wanted), key=versions.key) == wanted


def test_of_a_directory_the_newest_package_of_each_service() -> None:
    names = ["seaway-daemon_0.2.0_amd64.deb", "seaway-daemon_0.10.0_amd64.deb", "seaway_0.2.0_all.deb", "x.deb"]
    found = versions.packages([Path(name) for name in names])
    assert found == [Package("daemon", "0.10.0", Path("seaway-daemon_0.10.0_amd64.deb"))]


def test_the_plan_leaves_out_what_is_current_or_not_installed_and_keeps_the_order() -> None:
    found = [Package(name, "0.2.0", Path(name)) for name in ("daemon", "network", "shim", "bus")]
    installed = {"bus": "0.1.0", "daemon": "0.1.0", "network": "0.1.0", "shim": "0.2.0", "runtime": "0.1.0"}
    steps = versions.plan(found, installed, ())
    assert [(step.service, step.before, step.after) for step in steps] == [
        ("bus", "0.1.0", "0.2.0"),
        ("network", "0.1.0", "0.2.0"),
        ("daemon", "0.1.0", "0.2.0"),
    ]
    assert versions.absent(found, {"bus": "0.1.0"}, ()) == ["network", "shim", "daemon"]
    assert versions.absent(found, {"bus": "0.1.0"}, ("bus", "shim")) == ["shim"]
    assert versions.plan(found, installed, ("bus",)) == [Step("bus", "0.1.0", "0.2.0", Path("bus"))]


def test_flipping_and_the_version_before(tmp_path: Path) -> None:
    for name in ("0.1.0", "0.2.0", "0.10.0", ".package"):
        (tmp_path / "daemon" / name).mkdir(parents=True)
    assert versions.current(tmp_path, "daemon") == ""
    versions.flip(tmp_path, "daemon", "0.10.0")
    assert versions.current(tmp_path, "daemon") == "0.10.0"
    assert versions.beside(tmp_path, "daemon") == ["0.1.0", "0.2.0", "0.10.0"]
    assert versions.previous(tmp_path, "daemon") == "0.2.0"
    versions.flip(tmp_path, "daemon", "0.1.0")
    assert versions.previous(tmp_path, "daemon") == "0.10.0"
    assert versions.previous(tmp_path, "supervisor") == ""


def test_what_was_begun_is_begun_again_from_the_version_that_is_known_to_work() -> None:
    begun = [Step("daemon", "0.1.0", "0.2.0", begun=True)]
    newer = Package("daemon", "0.3.0", Path("daemon"))
    after = {"daemon": "0.2.0"}
    assert versions.plan([newer], after, (), begun) == [Step("daemon", "0.1.0", "0.3.0", Path("daemon"), begun=True)]
    same = Package("daemon", "0.2.0", Path("daemon"))
    assert versions.plan([same], after, (), begun) == [Step("daemon", "0.1.0", "0.2.0", Path("daemon"), begun=True)]
    assert versions.plan([], after, (), begun) == [Step("daemon", "0.1.0", "0.2.0", begun=True)]
    assert versions.plan([], {"daemon": "0.1.0"}, (), begun) == [], "it hadn't become the current one"


def test_no_step_leads_to_an_older_version_unless_that_is_said() -> None:
    steps = [Step("daemon", "0.10.0", "0.9.2")]
    with pytest.raises(Refused, match=r"cannot upgrade daemon to 0\.9\.2: 0\.10\.0 is newer"):
        versions.check(steps, {"daemon": "0.10.0"})
    versions.check(steps, {"daemon": "0.10.0"}, downgrade=True)


def test_no_step_parts_services_by_more_than_a_minor_version() -> None:
    installed = {"network": "0.1.4", "daemon": "0.1.4"}
    versions.check([Step("network", "0.1.4", "0.2.0"), Step("daemon", "0.1.4", "0.2.0")], installed)
    with pytest.raises(Refused, match=r"daemon is 0\.1\.4"):
        versions.check([Step("network", "0.2.0", "0.3.0")], {**installed, "network": "0.2.0"})
    with pytest.raises(Refused, match="understand each other across one minor version"):
        versions.check([Step("network", "0.9.0", "1.0.0")], {"network": "0.9.0", "daemon": "0.9.0"})


def test_a_record_outlives_its_writer_and_says_what_is_to_be_undone(tmp_path: Path) -> None:
    for service, version in (("bus", "0.2.0"), ("network", "0.2.0"), ("daemon", "0.1.0"), ("shim", "0.3.0")):
        (tmp_path / service / version).mkdir(parents=True)
        versions.flip(tmp_path, service, version)
    records = [
        Record("bus", "0.1.0", "0.2.0", "1", proved=True),
        Record("network", "0.1.0", "0.2.0", "2", proved=True),
        Record("shim", "0.1.0", "0.2.0", "2", proved=True),
        Record("daemon", "0.1.0", "0.2.0", "2"),
    ]
    for each in records:
        record.write(tmp_path, each)
    assert record.read(tmp_path) == records
    assert record.begun(records) == [Step("daemon", "0.1.0", "0.2.0", begun=True)]
    assert record.undoing(tmp_path, records) == [
        Step("daemon", "0.2.0", "0.1.0", begun=True),
        Step("network", "0.2.0", "0.1.0"),
    ], "bus is of an earlier run, and the shim has been given another version since"
    record.forget(tmp_path, "daemon")
    assert [each.service for each in record.read(tmp_path)] == ["bus", "network", "shim"]


def test_a_record_that_was_cut_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / ".step").write_text('{"before": "0.1')
    assert record.read(tmp_path) == []
