"""A manual page as data: what it says, not how that is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph; `code` stands in backquotes."""

    text: str


@dataclass(frozen=True)
class Terms:
    """Things, each with what is to be said of it. The things are code."""

    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Example:
    """What a command is for, and the command as it is typed."""

    says: str
    command: str


Block = Text | Terms | Example


@dataclass(frozen=True)
class Page:
    """One page: `name`(`section`), a line of what it is, how it is called, and titled sections of blocks.

    `see` are other pages, as (name, section).
    """

    name: str
    section: int
    summary: str
    source: str
    """Whose page it is, with its version."""
    synopsis: tuple[str, ...] = ()
    sections: tuple[tuple[str, tuple[Block, ...]], ...] = ()
    see: tuple[tuple[str, int], ...] = ()


def sentence(says: str) -> str:
    """What help texts leave out: a capital, where the first word isn't a program's name, and a full stop."""
    says = says.strip().rstrip(".")
    first = says.partition(" ")[0]
    return f"{says if '-' in first else says[:1].upper() + says[1:]}." if says else ""
