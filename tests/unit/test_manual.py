"""The manual says what the programs are: current, complete, and well formed for whoever reads man pages."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from manual import commands, completion, reference, roff, services
from manual.__main__ import pages, write
from manual.examples import EXAMPLES
from manual.page import Example, Page, Terms, Text, sentence
from manual.settings import describe
from seaway_cli.__main__ import seaway
from seaway_supervisor.settings import SupervisorSettings
from support.completing import completed

ROOT = Path(__file__).parents[2]
PROJECTS = (
    "libs/bus",
    *(f"services/{path.name}" for path in sorted((ROOT / "services").iterdir()) if (path / "pyproject.toml").exists()),
)


def _verbs(command: click.Command = seaway, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(words), command
    for name, verb in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _verbs(verb, (*words, name))


VERBS = dict(_verbs())


def test_the_settings_page_is_current() -> None:
    current = (ROOT / "docs" / "settings.md").read_text() == reference.page()
    assert current, "run: python packaging/manual settings > docs/settings.md"


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_and_option_says_what_it_does(words: str) -> None:
    verb = VERBS[words]
    options = (each for each in verb.params if isinstance(each, click.Option) and not each.hidden)
    assert verb.help
    assert not [each.name for each in options if not each.help]


@pytest.mark.parametrize("command", [e.command for shown in EXAMPLES.values() for e in shown])
def test_an_example_is_a_command_that_is_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dist").mkdir()
    monkeypatch.chdir(tmp_path)
    for line in command.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line)
        verb: click.Command = seaway
        while isinstance(verb, click.Group):
            verb = verb.commands[words.pop(0)]
        assert program == "seaway"
        verb.make_context(verb.name, words, parent=click.Context(seaway))


def test_examples_are_of_verbs() -> None:
    assert not EXAMPLES.keys() - VERBS.keys()


def test_a_setting_without_a_sentence_is_refused() -> None:
    class Silent(msgspec.Struct):
        key: int = 1

    with pytest.raises(ValueError, match=r"cannot describe Silent\.key: no sentence stands below it"):
        list(describe(Silent))


def test_tables_within_settings_are_described_by_their_keys() -> None:
    found = {each.key: each for each in describe(SupervisorSettings)}
    assert found["images.downloads"].default == "3"
    assert found["images.mirrors"].kind == "table, each value list, each a URL"
    assert found["node"].common and not found["images.downloads"].common


def test_text_is_only_ever_text() -> None:
    page = Page(
        name="x",
        section=1,
        summary="a \\ b",
        source="S 1",
        synopsis=("x --long",),
        sections=(
            ("Why", (Text(".SH no `--flag` …"), Terms((("--a", "'quoted"),)), Example("Do:", ".profile -x \\\n  y"))),
        ),
        see=(("y", 5), ("x-a", 1)),
    )
    assert roff.text(page, "2026-01-02").splitlines() == [
        '.TH "X" "1" "2026-01-02" "S 1" "Seaway Manual"',
        ".SH NAME",
        r"x \- a \e b",
        ".SH SYNOPSIS",
        r"\fBx \-\-long\fR",
        ".SH WHY",
        r"\&.SH no \fB\-\-flag\fR ...",
        ".TP",
        r"\fB\-\-a\fR",
        r"\&'quoted",
        ".PP",
        "Do:",
        ".PP",
        ".RS 4",
        ".EX",
        r"\&.profile \-x \e",
        "  y",
        ".EE",
        ".RE",
        ".SH SEE ALSO",
        r"\%\fBx\-a\fR(1),",
        r"\%\fBy\fR(5)",
    ]


@pytest.mark.parametrize(
    ("says", "written"),
    [("", ""), ("run it", "Run it."), ("Done.", "Done."), ("nats-server's path", "nats-server's path.")],
)
def test_a_help_text_becomes_a_sentence(says: str, written: str) -> None:
    assert sentence(says) == written


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, as packages have them."""
    out = tmp_path_factory.mktemp("man")
    for project in PROJECTS:
        write(pages(project), out)
    return out


def test_there_is_a_page_for_each_verb_each_service_and_each_settings_file(written: Path) -> None:
    names = {path.name for path in written.rglob("*.gz")}
    assert {f"{'-'.join(('seaway', *words.split()))}.1.gz" for words in VERBS} <= names
    for project in PROJECTS:
        service = project.rpartition("/")[2]
        assert service == "cli" or f"seaway-{service}.8.gz" in names
    assert {f"seaway-{path.stem}.toml.5.gz" for path in (ROOT / "packaging" / "settings").glob("*.toml")} <= names


def test_what_a_page_refers_to_is_there(written: Path) -> None:
    names = {path.name for path in written.rglob("*.gz")}
    for page in (page for project in PROJECTS for page in pages(project)):
        ours = {(name, section) for name, section in page.see if name.startswith("seaway")}
        assert not [name for name, section in ours if f"{name}.{section}.gz" not in names]


@pytest.mark.parametrize("program", ["mandoc", "man", "lexgrog"])
def test_readers_of_man_pages_find_nothing_wrong(written: Path, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} isn't installed")
    argv = {
        "mandoc": ["mandoc", "-Tlint", "-Wwarning"],
        "man": ["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-l"],
        "lexgrog": ["lexgrog"],
    }[program]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"}
    for path in sorted(written.rglob("*.gz")):
        plain = path.with_suffix("")
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        done = subprocess.run([*argv, plain], capture_output=True, text=True, env=environment, check=False)
        said = done.stderr + (done.stdout if program == "mandoc" else "")
        assert (done.returncode, said) == (0, ""), path.name


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1750000000")
    for name in ("a", "b"):
        write(services.pages("services/daemon"), tmp_path / name)
        write(commands.pages(), tmp_path / name)
    first, second = (sorted((tmp_path / name).rglob("*.gz")) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"2025-06-15" in gzip.decompress(first[0].read_bytes())


def _completed(directory: Path, *words: str) -> list[str]:
    """What a real bash proposes for the last word, where no engine answers."""
    program = directory / "seaway"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m seaway_cli "$@"\n')
    program.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SEAWAY_HOST": str(directory / "nobody.sock")}
    return completed(" ".join(words), directory, environment)


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["seaway", "rest"], ["restart"]),
        (["seaway", "run", "--rea"], ["--read-only"]),
        (["seaway", "run", "--restart", "on"], ["on-failure"]),
        (["seaway", "rollback", "da"], ["daemon"]),
        (["seaway", "rm", ""], []),
        (["seaway", "run", ""], []),
        (["seaway", "--socket", "/nonexistent", "stop", ""], []),
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_completes_and_without_an_engine_says_nothing(
    tmp_path: Path, words: list[str], proposed: list[str]
) -> None:
    assert _completed(tmp_path, *words) == proposed


def test_an_engine_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "nobody.sock"))
        mute.listen()
        began = time.monotonic()
        assert _completed(tmp_path, "seaway", "rm", "") == []
        assert time.monotonic() - began < 20  # a second, on a machine with time


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_file(tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} isn't installed")
    completion.write(tmp_path)
    (file,) = (path for path in tmp_path.rglob("*seaway*") if path.is_file() and shell in str(path))
    assert subprocess.run([shell, "-n", file], capture_output=True, check=True).stderr == b""


def test_the_documentation_of_examples_names_no_other_command() -> None:
    assert all(re.match(r"seaway\b", e.command) for shown in EXAMPLES.values() for e in shown)
