"""What Docker makes of paths, and what an archive of a tree holds; without root."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from seaway_supervisor.copying import paths
from seaway_supervisor.copying.extract import Extractor, Wishes, clean
from seaway_supervisor.copying.pack import Packer
from seaway_supervisor.images.unpack.tarstream import TarError, TarStream


@pytest.mark.parametrize(
    ("given", "absolute", "parent", "name"),
    [
        ("/", "/", ("/", ""), "/"),
        ("//", "/", ("/", ""), "/"),
        (".", "/.", ("/", "."), "."),
        ("a", "/a", ("/", "a"), "a"),
        ("/a/b", "/a/b", ("/a/", "b"), "b"),
        ("/a/b/", "/a/b/", ("/a/b/", ""), "b"),
        ("/a/b/.", "/a/b/.", ("/a/b/", "."), "."),
        ("/a/b/./", "/a/b/./", ("/a/b/./", ""), "."),
        ("/a/../b", "/b", ("/", "b"), "b"),
        ("../../a", "/a", ("/", "a"), "a"),
        ("/a//b", "/a/b", ("/a/", "b"), "b"),
    ],
)
def test_a_path_says_what_is_meant(given: str, absolute: str, parent: tuple[str, str], name: str) -> None:
    assert paths.absolute(given) == absolute
    assert paths.parent(absolute) == parent
    assert paths.name(absolute) == name


@pytest.mark.parametrize(
    ("root", "below", "entry"),
    [("d", "a/b", "d/a/b"), (".", "a", "./a"), ("/", "a", "/a"), ("", "a", "a")],
)
def test_names_in_an_archive_begin_with_what_was_asked_for(root: str, below: str, entry: str) -> None:
    assert paths.entry(root, below) == entry


@pytest.mark.parametrize(
    ("given", "cleaned"), [(b"a/./b//c", b"a/b/c"), (b"./", b""), (b"/a", b"a"), (b"a/../b", b"b")]
)
def test_names_of_an_archive_are_tidied(given: bytes, cleaned: bytes) -> None:
    assert clean(given) == cleaned


@pytest.mark.parametrize("given", [b"..", b"../a", b"a/../../b", b"/.."])
def test_names_that_lead_out_are_none(given: bytes) -> None:
    assert clean(given) is None


def packed(tree: Path) -> bytes:
    """The archive of a directory called `t`."""
    with (tree.parent / "archive").open("w+b") as file:
        packer = Packer(file.fileno())
        packer.tree(os.open(tree, os.O_RDONLY), "t")
        packer.end()
        file.seek(0)
        return file.read()


def extracted(archive: bytes, into: Path, *, keep_kinds: bool = False) -> None:
    root = os.open(into, os.O_PATH)
    wishes = Wishes(keep_kinds=keep_kinds, owner=(os.getuid(), os.getgid()))
    Extractor(root, b"", wishes).extract(TarStream(iter([archive])))


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    (tree / "sub" / "deep").mkdir(parents=True)
    back.mkdir()
    (tree / "sub" / "deep" / "file").write_bytes(b"x" * 100_000)
    (tree / "long").write_text("long")
    (tree / ("n" * 200)).write_text("a long name")
    (tree / "ünïcode").write_text("umlauts")
    (tree / "link").symlink_to("sub/deep")
    os.utime(tree / "sub", (981173106, 981173106))
    archive = packed(tree)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getnames()[:2] == ["t", "t/link"]
    extracted(archive, back)
    assert (back / "t" / "link" / "file").read_bytes() == b"x" * 100_000
    assert {each.name for each in (back / "t").iterdir()} == {"sub", "long", "n" * 200, "ünïcode", "link"}
    assert (back / "t" / "sub").stat().st_mtime == 981173106


def test_links_on_the_way_lead_nowhere_but_into_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for each in (root / "inside", outside):
        each.mkdir(parents=True)
    (root / "up").symlink_to("../../../../../inside")
    (root / "there").symlink_to(outside)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("up/file"))
        tar.addfile(tarfile.TarInfo("there/file"))
    with pytest.raises(OSError, match="cannot create there/file"):
        extracted(made.getvalue(), root)
    assert (root / "inside" / "file").exists() and not list(outside.iterdir())


def test_directories_and_files_replace_each_other_unless_kinds_are_kept(tmp_path: Path) -> None:
    (tmp_path / "into" / "t" / "full" / "of").mkdir(parents=True)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("t"))
    with pytest.raises(TarError, match="cannot overwrite directory"):
        extracted(made.getvalue(), tmp_path / "into", keep_kinds=True)
    extracted(made.getvalue(), tmp_path / "into")
    assert (tmp_path / "into" / "t").is_file()
