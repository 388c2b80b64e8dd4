"""The `seaway` command's entry: options of all verbs, then the verbs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seaway_cli import __version__
from seaway_cli.doctor.command import doctor, status
from seaway_cli.engine.api import Engine, EngineError, socket_path
from seaway_cli.engine.fsck import fsck
from seaway_cli.engine.verbs import VERBS
from seaway_cli.fleet import fleet
from seaway_cli.stack.commands import down, up
from seaway_cli.upgrade.command import rollback, upgrade
from seaway_cli.watch import watch


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=None,
    help="the engine's socket (SEAWAY_HOST, or /run/seaway/engine.sock)",
)
@click.option("-H", "--host", "node", default="", metavar="NODE", help="another host of this one's fleet, by its name")
@click.version_option(__version__, prog_name="seaway")
@click.pass_context
def seaway(context: click.Context, socket: Path | None, node: str) -> None:
    """Containers whose engine can be replaced while they run."""
    context.obj = Engine(socket_path(socket), node=node)


for verb in (up, down, watch, status, doctor, upgrade, rollback, fsck, fleet, *VERBS):
    seaway.add_command(verb)


def main() -> None:
    """Run one verb. Refusals are one line on standard error and exit code 125, as docker has it; never a traceback."""
    try:
        seaway.main(prog_name="seaway", standalone_mode=False)
    except EngineError as error:
        sys.exit(_refuse(str(error), 125 if _runs(sys.argv[1:]) else 1))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _runs(words: list[str]) -> bool:
    """Whether the verb is `run`, whatever options of all verbs come before it."""
    given = [word for place, word in enumerate(words) if not word.startswith("-") and words[place - 1] not in _OPTIONS]
    return "run" in given[:2]


_OPTIONS = ("-H", "--host", "--socket")


def _refuse(text: str, code: int) -> int:
    print(f"seaway: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
