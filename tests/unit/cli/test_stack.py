"""What `seaway up` decides before it starts anything."""

from __future__ import annotations

import signal
import tomllib
from pathlib import Path

import click
import pytest
from seaway_cli.stack.checks import problems, unreachable
from seaway_cli.stack.engine import toml
from seaway_cli.stack.layout import Layout
from seaway_cli.stack.options import settled_name
from seaway_cli.stack.processes import describe_exit

MOUNTS = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
FILESYSTEMS = "nodev\toverlay\n\text4\n"


def test_a_host_that_has_everything_has_no_problem() -> None:
    assert not list(problems(uid=0, filesystems=FILESYSTEMS, mounts=MOUNTS, port=0))


def test_who_isnt_root_is_told_to_use_sudo_and_nothing_else() -> None:
    (only,) = problems(uid=1000, filesystems="", mounts="", port=0)
    assert only == "cannot run containers: this needs root, so run it with sudo"


@pytest.mark.parametrize(
    ("filesystems", "mounts", "said"),
    [
        ("ext4\n", MOUNTS, "the kernel has no overlayfs"),
        (FILESYSTEMS, "proc /proc proc rw 0 0\n", "no cgroup hierarchy is mounted"),
    ],
)
def test_what_the_kernel_lacks_is_named_with_what_to_do(filesystems: str, mounts: str, said: str) -> None:
    (only,) = problems(uid=0, filesystems=filesystems, mounts=mounts, port=0)
    assert said in only and only.startswith("cannot ") and ";" in only


def test_a_directory_that_keeps_services_out_is_named(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for directory in (tmp_path, *tmp_path.parents):
        if not directory.stat().st_mode & 0o001:
            private = directory  # pytest's own directories are private already
    assert str(private) in unreachable(private / "engine")


def test_the_hosts_own_engine_has_plain_names() -> None:
    layout = Layout.of(None)
    assert (layout.bridge, layout.table, layout.cgroup, layout.link_prefix) == ("seaway0", "seaway", "seaway", "sw")
    assert layout.socket == Path("/run/seaway/engine.sock")


def test_private_engines_have_names_of_their_own_that_the_kernel_takes() -> None:
    one, other = Layout.of(Path("/tmp/one")), Layout.of(Path("/tmp/other"))
    for name in ("bridge", "table", "cgroup", "link_prefix"):
        assert getattr(one, name) != getattr(other, name)
    assert len(one.bridge) <= 15 and one.link_prefix.isalpha() and len(one.link_prefix) <= 4
    assert one.socket == Path("/tmp/one/run/engine.sock")


def test_settings_survive_being_written_as_toml() -> None:
    settings = {"node": "local", "port": 4222, "on": True, "names": ['a"b', "c\\d", "é"]}
    assert tomllib.loads(toml(settings)) == settings


def test_an_exit_is_told_in_words() -> None:
    assert describe_exit(3) == "exit code 3" and describe_exit(-signal.SIGKILL) == "SIGKILL"


def test_a_host_keeps_the_name_that_it_was_given(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    assert settled_name(layout, "") == "local"
    assert settled_name(layout, "h1") == settled_name(layout, "") == settled_name(layout, "h1") == "h1"
    with pytest.raises(click.ClickException, match=r"cannot call this host 'h\.1': a name has letters"):
        settled_name(layout, "h.1")


@pytest.mark.parametrize(
    ("there", "why"), [("run/shim/" + "a" * 64, "has containers as h1"), ("state/fleet", "fleet as h1")]
)
def test_a_name_that_others_rely_on_is_not_changed(tmp_path: Path, there: str, why: str) -> None:
    layout = Layout.of(tmp_path)
    settled_name(layout, "h1")
    layout.bus.mkdir(parents=True)
    (tmp_path / there).mkdir(parents=True)
    assert settled_name(layout, "h1") == "h1"
    with pytest.raises(click.ClickException, match=f"cannot call this host h2: .*{why}"):
        settled_name(layout, "h2")
