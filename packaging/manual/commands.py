"""The pages of the command line, one for each verb, from click's own tree: `seaway`(1), `seaway-run`(1), …"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

import click
from seaway_cli.__main__ import seaway

from manual.examples import EXAMPLES
from manual.page import Block, Example, Page, Terms, Text, sentence

NAME = "seaway"
_COMMON_EXITS = (
    ("0", "It is done."),
    ("1", "The engine, or a check, says no; standard error says why in one line."),
    ("2", "The command line can't be understood."),
    ("130", "It was interrupted."),
)
_OWN_EXITS = {
    "run": (
        ("0 to 255", "The exit code of the container's command."),
        ("125", "The engine wouldn't run it; standard error says why in one line."),
    ),
    "exec": (("0 to 255", "The exit code of the command."), ("1", "The engine wouldn't run it.")),
}
_ENVIRONMENT = Terms(
    (
        (
            "SEAWAY_HOST",
            "The engine's socket where no `--socket` is given, as a path or as `unix:///path`;"
            " without it `/run/seaway/engine.sock`.",
        ),
    )
)
_FILES = Terms((("/run/seaway/engine.sock", "The engine's socket. Root and the group `seaway` may use it."),))


def pages() -> list[Page]:
    """Every verb that isn't hidden, `seaway` itself first."""
    return list(_pages(seaway, _context(seaway, NAME)))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def _pages(command: click.Command, context: click.Context) -> Iterator[Page]:
    words = tuple(context.command_path.split())
    inner = _verbs(command, context)
    yield Page(
        name="-".join(words),
        section=1,
        summary=_summary(command),
        source=f"Seaway {importlib.metadata.version('seaway-cli')}",
        synopsis=(" ".join((*words, *command.collect_usage_pieces(context))),),
        sections=tuple(_sections(command, context, words, inner)),
        see=tuple(_neighbours(words, inner)),
    )
    for name, verb in inner.items():
        yield from _pages(verb, _context(verb, name, context))


def _verbs(command: click.Command, context: click.Context) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: verb for name, verb in sorted(found.items()) if verb and not verb.hidden}


def _summary(command: click.Command) -> str:
    """The first sentence, as whatis(1) shows it: `list containers`."""
    words = " ".join((command.help or "").partition("\n\n")[0].replace("`", "").split())
    first = words.partition(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _sections(
    command: click.Command, context: click.Context, words: tuple[str, ...], inner: dict[str, click.Command]
) -> Iterator[tuple[str, tuple[Block, ...]]]:
    yield "Description", tuple(Text(each) for each in (command.help or "").replace("\b", "").split("\n\n"))
    if options := _options(command, context):
        yield "Options", (Terms(options),)
    if inner:
        yield "Verbs", (Terms(tuple((name, sentence(_summary(verb))) for name, verb in inner.items())),)
    key = " ".join(words[1:])
    yield "Exit status", (Terms((*_OWN_EXITS[key], *_COMMON_EXITS[2:]) if key in _OWN_EXITS else _COMMON_EXITS),)
    yield "Environment", (_ENVIRONMENT,)
    yield "Files", (_FILES,)
    if shown := EXAMPLES.get(key):
        yield "Examples", tuple(Example(each.says, each.command) for each in shown)


def _options(command: click.Command, context: click.Context) -> tuple[tuple[str, str], ...]:
    records = (each.get_help_record(context) for each in command.get_params(context) if isinstance(each, click.Option))
    return tuple((names, sentence(says)) for names, says in filter(None, records))


def _neighbours(words: tuple[str, ...], inner: dict[str, click.Command]) -> Iterator[tuple[str, int]]:
    if len(words) > 1:
        yield "-".join(words[:-1]), 1
    for name in inner:
        yield "-".join((*words, name)), 1
    if len(words) == 1:
        yield from ((f"seaway-{each}", 8) for each in ("bus", "daemon", "network", "runtime", "shim", "supervisor"))
