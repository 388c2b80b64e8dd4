"""A page as man(7) has it. Everything that roff would take for itself is escaped: text is only ever text."""

from __future__ import annotations

import re
import textwrap

from manual.page import Block, Example, Page, Terms, Text

_CODE = re.compile(r"`([^`]+)`")
_SIGNS = {
    "\\": r"\e", "…": "...", "–": r"\(en", "—": r"\(em", "“": r"\(lq", "”": r"\(rq", "’": r"\(cq", "→": r"\(->",
    "~": r"\(ti", "^": r"\(ha", "`": r"\(ga", "×": r"\(mu",
}  # fmt: skip


def text(page: Page, date: str) -> str:
    """The source of a manual page; `date` is YYYY-MM-DD."""
    lines = [
        f'.TH "{page.name.upper()}" "{page.section}" "{date}" "{_escaped(page.source)}" "Seaway Manual"',
        ".SH NAME",
        f"{code(page.name, bold=False)} \\- {_escaped(page.summary)}",
    ]
    if page.synopsis:
        lines.append(".SH SYNOPSIS")
        lines += [line for each in page.synopsis for line in (code(each), ".br")][:-1]
    for title, blocks in page.sections:
        body = [line for block in blocks for line in _block(block)]
        lines += [f".SH {_escaped(title.upper())}", *(body[1:] if body[:1] == [".PP"] else body)]
    if page.see:
        named = (f"\\%\\fB{code(name, bold=False)}\\fR({section})" for name, section in sorted(page.see))
        lines += [".SH SEE ALSO", ",\n".join(named)]
    return "\n".join([*lines, ""])


def _block(block: Block) -> list[str]:
    match block:
        case Text(said):
            return [".PP", *_prose(said)]
        case Terms(terms):
            return [line for term, said in terms for line in (".TP", code(term), *_prose(said))]
        case Example(says, command):
            shown = [_protected(code(line, bold=False)) for line in command.splitlines()]
            return [".PP", *_prose(says), ".PP", ".RS 4", ".EX", *shown, ".EE", ".RE"]


def _prose(said: str) -> list[str]:
    pieces = _CODE.split(" ".join(said.split()))
    marked = "".join(code(piece) if place % 2 else _escaped(piece) for place, piece in enumerate(pieces))
    wrapped = textwrap.wrap(marked, 78, break_long_words=False, break_on_hyphens=False)
    return [_protected(line) for line in wrapped] or [r"\&"]


def code(said: str, *, bold: bool = True) -> str:
    """Text to be typed: its hyphens are the ASCII ones, so that it can be copied."""
    escaped = _escaped(said).replace("-", r"\-")
    return f"\\fB{escaped}\\fR" if bold else escaped


def _escaped(said: str) -> str:
    return "".join(_SIGNS.get(sign, sign if sign.isascii() else f"\\[u{ord(sign):04X}]") for sign in said)


def _protected(line: str) -> str:
    return rf"\&{line}" if line.startswith((".", "'")) else line
