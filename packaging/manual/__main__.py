"""Writes the manual of what can be imported here.

    manual settings                 docs/settings.md, on standard output
    manual pages PROJECT… OUT       man pages of projects, paths in this checkout, as OUT/man<section>/*.gz
    manual completion OUT           what bash, zsh and fish read to complete `seaway`, below OUT

Packages run it with the environment that is being packaged, so a page is of the very code it comes with.
"""

from __future__ import annotations

import gzip
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manual import roff
from manual.page import Page


def main(arguments: list[str]) -> int:
    """One of the three; the exit code."""
    match arguments:
        case ["settings"]:
            from manual import reference

            print(reference.page(), end="")
        case ["pages", *projects, out] if projects:
            for project in projects:
                write(pages(project), Path(out))
        case ["completion", out]:
            from manual import completion

            completion.write(Path(out))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def pages(project: str) -> list[Page]:
    """All pages of a project: the command line's for each verb, a service's for its program and its settings."""
    if project == "services/cli":
        from manual import commands

        return commands.pages()
    from manual import services

    return services.pages(project)


def write(made: list[Page], out: Path) -> None:
    """Compressed, with the date of the sources, so that the bytes are the same each time."""
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    for page in made:
        directory = out / f"man{page.section}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{page.name}.{page.section}.gz"
        path.write_bytes(gzip.compress(roff.text(page, date).encode(), 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
