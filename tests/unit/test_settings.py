"""Settings: what is refused and in which words, how files are merged, and what `--settings` says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from seaway_daemon.settings import DaemonSettings
from seaway_fleet.settings import FleetSettings
from seaway_network.settings import NetworkSettings
from seaway_runtime.settings import RuntimeSettings
from seaway_service import Settings, SettingsError, run
from seaway_service.effective import effective
from seaway_service.node import UNNAMED, node_name
from seaway_service.settings import load, load_with_sources
from seaway_shim.settings import ShimSettings
from seaway_supervisor.settings import SupervisorSettings

KINDS = (DaemonSettings, FleetSettings, NetworkSettings, RuntimeSettings, ShimSettings, SupervisorSettings)
WRONG = [
    (Settings, 'log_level = "loud"', 'log_level: expected "debug", "error", "info" or "warning", got "loud"'),
    (Settings, 'node = "a.b"', 'node: expected letters, digits, - and _, got "a.b"'),
    (Settings, 'node = "a\\n"', "node: expected letters, digits, - and _, got"),
    (Settings, 'bus_url = "127.0.0.1"', 'bus_url: expected a URL, got "127.0.0.1"'),
    (Settings, 'run_dir = "run"', 'run_dir: expected an absolute path, got "run"'),
    (Settings, "node = 1", "node: expected letters, digits, - and _, got 1"),
    (Settings, 'log_levl = "info"', "there is no key log_levl; did you mean log_level?"),
    (RuntimeSettings, "x = 1", "there is no key x; the keys are node, bus_url, credentials,"),
    (DaemonSettings, "max_body = 0", "max_body: expected whole number of at least 1, in bytes, got 0"),
    (DaemonSettings, "socket_mode = 0o1777", "socket_mode: expected permission bits, such as 0o660, got 1023"),
    (DaemonSettings, "stop_seconds = -1", "stop_seconds: expected number above 0, in seconds, got -1"),
    (DaemonSettings, 'tcp = "2376"', 'tcp: expected address:port, or "", got "2376"'),
    (DaemonSettings, 'access_log = "yes"', 'access_log: expected true or false, got "yes"'),
    (DaemonSettings, 'sockets = ["a"]', 'sockets[0]: expected an absolute path, got "a"'),
    (ShimSettings, "spawn_seconds = 0", "spawn_seconds: expected number above 0, in seconds, got 0"),
    (NetworkSettings, "mtu = 20", "mtu: expected whole number from 68 to 65535, in bytes, got 20"),
    (NetworkSettings, 'prefix = "seaway"', 'prefix: expected one to four small letters, got "seaway"'),
    (NetworkSettings, "ephemeral = [0, 9]", "ephemeral[0]: expected whole number from 1 to 65535, got 0"),
    (NetworkSettings, "ephemeral = [9]", "ephemeral: expected list of 2: whole number from 1 to 65535,"),
    (NetworkSettings, "ephemeral = [9, 8]", "ephemeral: expected the lower port first, got [9, 8]"),
    (NetworkSettings, 'subnet = "10.0.0.1/8"', "subnet: 10.0.0.1/8 has host bits set"),
    (NetworkSettings, 'publish_address = "x"', "publish_address: 'x' does not appear to be an IPv4 or IPv6 address"),
    (NetworkSettings, 'dns_fallback = ["x"]', "dns_fallback: 'x' does not appear"),
    (
        NetworkSettings,
        'pools = [{base = "10.0.0.0/8", size = 4}]',
        "pools[0]: size: expected 8 to 32 for 10.0.0.0/8, got 4",
    ),
    (NetworkSettings, 'pools = [{base = "10.0.0.0/8"}]', "pools[0]: Object missing required field `size`"),
    (NetworkSettings, 'pools = [{bas = "10.0.0.0/8"}]', "there is no key pools.0.bas; did you mean base?"),
    (SupervisorSettings, "images = {downloads = 0}", "images.downloads: expected whole number of at least 1, got 0"),
    (SupervisorSettings, "images = {down = 0}", "there is no key images.down; did you mean downloads?"),
    (SupervisorSettings, 'log_driver = "gelf"', "log_driver: expected one of journald, json-file, local, none, syslog"),
    (SupervisorSettings, 'ulimits = {nofile = "x"}', 'ulimits[...]: expected "soft" or "soft:hard", got'),
    (SupervisorSettings, 'cgroup_parent = "/a"', "cgroup_parent: expected a path without a slash in front, got"),
]


@pytest.mark.parametrize(("kind", "text", "said"), WRONG, ids=[text for _, text, _ in WRONG])
def test_a_wrong_value_is_refused_with_file_key_and_what_would_be_right(
    tmp_path: Path, kind: type[Settings], text: str, said: str
) -> None:
    file = tmp_path / "some.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(kind, [file])
    assert f"cannot use settings {file}: " in str(refused.value)
    assert said in str(refused.value)


def test_what_is_no_toml_no_text_or_not_there_is_said(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    with pytest.raises(SettingsError, match=f"cannot read settings {file}: No such file"):
        load(Settings, [file])
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=f"cannot use settings {file}"):
        load(Settings, [file])
    file.write_text("node = ")
    with pytest.raises(SettingsError, match="Invalid value"):
        load(Settings, [file])


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_are_within_their_own_limits(kind: type[Settings], tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text(effective(load_with_sources(kind, [])))
    assert load(kind, [file]) == kind()


def test_the_packaged_files_are_taken() -> None:
    for file in (Path(__file__).parents[2] / "packaging" / "settings").glob("*.toml"):
        kind = next((each for each in KINDS if each.__name__.lower().startswith(file.stem)), None)
        assert kind is None or load(kind, [file])


@pytest.mark.parametrize("kind", KINDS)
def test_the_change_that_a_packaged_file_shows_is_taken(kind: type[Settings], tmp_path: Path) -> None:
    name = kind.__name__.lower().removesuffix("settings")
    text = (Path(__file__).parents[2] / "packaging" / "settings" / f"{name}.toml").read_text()
    (shown,) = (line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   "))
    (tmp_path / "drop-in.toml").write_text(shown)
    assert load(kind, [tmp_path / "drop-in.toml"]) != kind()


def test_later_files_win_key_by_key_also_within_tables(tmp_path: Path) -> None:
    main, other = tmp_path / "supervisor.toml", tmp_path / "more.toml"
    main.write_text("shm_size = 1\nstop_timeout = 1\n[images]\ndownloads = 7\nattempts = 2\n")
    drop_ins = tmp_path / "supervisor.d"
    drop_ins.mkdir()
    (drop_ins / "20-b.toml").write_text("shm_size = 3\n[images]\nattempts = 4\n")
    (drop_ins / "10-a.toml").write_text("shm_size = 2\n")
    other.write_text('stop_timeout = 9\n[images.mirrors]\n"docker.io" = ["https://mirror.example"]\n')
    loaded = load_with_sources(SupervisorSettings, [main, other])
    settings = loaded.settings
    assert (settings.shm_size, settings.stop_timeout) == (3, 9)
    assert (settings.images.downloads, settings.images.attempts) == (7, 4)
    said = effective(loaded)
    assert f"shm_size = 3  # {drop_ins}/20-b.toml" in said
    assert f"downloads = 7  # {main}" in said
    assert f'"docker.io" = ["https://mirror.example"]  # {other}' in said
    assert 'log_driver = "json-file"  # default' in said
    tomllib.loads(said)


def test_a_service_prints_its_settings_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text('node = "h1"')

    async def serve(*_: object) -> None:
        raise AssertionError

    assert run("seaway-x", "1", Settings, serve, ["--settings", "--config", str(file)]) == 0
    assert f'node = "h1"  # {file}' in capsys.readouterr().out
    file.write_text('node = "a b"')
    assert run("seaway-x", "1", Settings, serve, ["--settings", "--config", str(file)]) == 78
    assert "node: expected" in capsys.readouterr().err


def test_a_host_is_called_what_its_own_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "node"
    assert node_name(file) == UNNAMED
    file.write_text("h1\n")
    assert node_name(file) == "h1"
    monkeypatch.setattr("seaway_service.settings.node_name", lambda: node_name(file))
    settings = tmp_path / "some.toml"
    for text, said in (("", "h1"), ('node = ""', "h1"), ('node = "h2"', "h2")):
        settings.write_text(text)
        assert load(Settings, [settings]).node == said
    file.write_text("h.1")
    with pytest.raises(ValueError, match=r"cannot use this host's name 'h\.1' in .*: it must be letters"):
        node_name(file)
    settings.write_text("")
    with pytest.raises(SettingsError, match="cannot use this host's name"):
        load(Settings, [settings])
