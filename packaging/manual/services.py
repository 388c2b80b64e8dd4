"""The pages of services: the program, `seaway-daemon`(8), and its settings, `seaway-daemon.toml`(5).

What a service is comes from its README, its options from its argument parser, its settings from their struct.
"""

from __future__ import annotations

import argparse
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manual import settings
from manual.page import Block, Example, Page, Terms, Text, sentence
from manual.settings import Setting

ROOT = Path(__file__).resolve().parents[2]
_ABOUT = {
    "bus": (
        "Every message between services goes over this bus: nats-server with JetStream, on loopback. `seaway-bus`"
        " writes its configuration, makes the keys and each service's credentials, and becomes nats-server.",
        "While it is down, containers, logs, health checks and restart policies go on; calls wait and are repeated, and"
        " open streams resume where they were.",
    ),
    "daemon": (
        "It answers the Docker Engine HTTP API on unix sockets and, with mutual TLS, on TCP, and asks the other"
        " services over the bus. It isn't root and keeps no state.",
        "While it is down, connections wait at its socket; attached clients, followed logs and events go on with the"
        " next one, at the byte.",
    ),
    "network": (
        "It makes networks, addresses, published ports (in an nftables table of its own) and the names that containers"
        " know each other by.",
        "While it is down, packets flow, since what it makes is the kernel's; name queries wait.",
    ),
    "runtime": (
        "It turns OCI bundles into launch plans, and pauses, limits, signals and measures containers. The same program"
        " is an OCI command line that other engines can use.",
        "While it is down, containers run on; new ones wait.",
    ),
    "shim": (
        "This is the nursery: from a warm template it forks the shims, one process for each container, which keep its"
        " output, its exit code, its health checks and its restart policy.",
        "While it is down, shims and containers go on without it; new ones wait. Shims can be upgraded in place, see"
        " `seaway-upgrade`(1).",
    ),
    "supervisor": (
        "It is the one source of truth on a host: containers, images, snapshots and volumes.",
        "While it is down, nothing stops; when it starts, it compares what it has recorded with disk, shims and"
        " kernel.",
    ),
}
"""What an operator wants to know; a service that isn't here is described by its README."""
_SIGNALS = Terms(
    (
        ("SIGTERM, SIGINT", "End; containers go on."),
        ("SIGHUP", "What `systemctl reload` sends: read the settings again, as far as that needs no restart."),
    )
)
_EXITS = Terms(
    (
        ("0", "It was asked to end."),
        ("1", "It couldn't go on; the journal says why. Its unit starts it again."),
        ("2", "The command line can't be understood."),
        ("78", "Its settings are refused. Its unit leaves it alone until they are mended."),
    )
)


def pages(project: str) -> list[Page]:
    """The pages of a project, by its path in the checkout: `services/daemon`."""
    table: dict[str, Any] = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]
    name = project.rpartition("/")[2]
    kind = settings.of_service(name)
    described = list(settings.describe(kind)) if kind else []
    return [_program(project, table, described), *([_file(name, table, described)] if described else [])]


def _program(project: str, table: dict[str, Any], described: list[Setting]) -> Page:
    name = table["name"]
    about = _ABOUT.get(name.removeprefix("seaway-")) or _paragraphs((ROOT / project / "README.md").read_text())
    parser = _parser(name, table["version"])
    own = f"{name}.toml"
    return Page(
        name=name,
        section=8,
        summary=_lowered(table["description"]),
        source=f"Seaway {table['version']}",
        synopsis=tuple(_synopsis(parser)),
        sections=tuple(
            (title, blocks)
            for title, blocks in (
                ("Description", tuple(map(Text, about))),
                ("Options", tuple(_options(parser))),
                ("Commands", tuple(_oci_commands(name))),
                ("Signals", (_SIGNALS,) if described else ()),
                ("Exit status", (_EXITS,) if described else ()),
                ("Files", (_files(name, described),)),
                ("Examples", tuple(_examples(name, described))),
            )
            if blocks
        ),
        see=(("seaway", 1), *([(own, 5)] if described else []), ("systemctl", 1)),
    )


def _file(service: str, table: dict[str, Any], described: list[Setting]) -> Page:
    name, path = f"seaway-{service}", f"/etc/seaway/{service}.toml"
    return Page(
        name=f"{name}.toml",
        section=5,
        summary=f"settings of {name}",
        source=f"Seaway {table['version']}",
        synopsis=(path, f"/etc/seaway/{service}.d/*.toml"),
        sections=(
            (
                "Description",
                (
                    Text(
                        "TOML. The file is read first, then its drop-ins in the order of their names: a later file's"
                        " key takes the place of an earlier one's, and tables are merged key by key. Changes of your"
                        f" own belong into a drop-in, since an upgrade may bring another version of `{path}`."
                    ),
                    Text(
                        "A key that isn't there, or a value of another kind or outside its limits, is refused with the"
                        f" file and the key, and `{name}` ends with exit code 78."
                    ),
                ),
            ),
            ("Settings", (Terms(tuple((_assigned(each), _said(each)) for each in described)),)),
            ("Examples", (Example("What holds, and which file says so:", f"{name} --settings --config {path}"),)),
        ),
        see=((name, 8), ("seaway", 1)),
    )


def _assigned(setting: Setting) -> str:
    return f"{setting.key} = {setting.default}" if setting.default else setting.key


def _said(setting: Setting) -> str:
    return f"{setting.says} A value is: {setting.kind}."


def _parser(name: str, version: str) -> argparse.ArgumentParser:
    """The program's own; every service but the bus has the same one."""
    if name == "seaway-bus":
        parser: argparse.ArgumentParser = importlib.import_module("seaway_bus.__main__").command_line()
        return parser
    from seaway_service.main import command_line

    return command_line(name, version)


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def _synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    for each in _verbs(parser).values() or (parser,):
        yield " ".join(each.format_usage().removeprefix("usage: ").split())
    if parser.prog == "seaway-runtime":
        yield "seaway-runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ID …]"


def _options(parser: argparse.ArgumentParser) -> Iterator[Block]:
    verbs = _verbs(parser)
    if not verbs:
        yield Terms(tuple(_terms(parser)))
    for name, each in verbs.items():
        terms = tuple(_terms(each))
        yield Text(f"Of `{name}`:")
        yield Terms(terms)


def _terms(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for each in parser._actions:
        value = "" if each.nargs == 0 else f" {each.metavar or each.dest.upper()}"
        says = (each.help or "").rstrip(".")
        if each.default not in (None, "", [], False, argparse.SUPPRESS):
            says += f" ({each.default} by default)"
        yield ", ".join(f"{option}{value}" for option in each.option_strings), sentence(says)


def _oci_commands(name: str) -> Iterator[Block]:
    if name != "seaway-runtime":
        return
    from seaway_runtime.cli.options import COMMANDS, FLAG

    yield Text("Without the options above in front it is an OCI runtime. Each command's options, and what it takes:")
    yield Terms(
        tuple(
            (
                f"{verb} {command.usage}".strip(),
                " ".join(f"`--{option}{'' if kind == FLAG else ' VALUE'}`" for option, kind in command.options.items()),
            )
            for verb, command in COMMANDS.items()
        )
    )


def _files(name: str, described: list[Setting]) -> Terms:
    service = name.removeprefix("seaway-")
    settings_files = [
        (f"/etc/seaway/{service}.toml, /etc/seaway/{service}.d/*.toml", f"Settings; see `{name}.toml`(5)."),
    ]
    return Terms(
        (
            *(settings_files if described else []),
            (f"/opt/seaway/{service}/current", "The version that is started next."),
            (f"{name}.service", "Its unit."),
            ("/run/seaway, /var/lib/seaway", "What lives while the host is up, and what lasts."),
        )
    )


def _examples(name: str, described: list[Setting]) -> Iterator[Block]:
    file = f"/etc/seaway/{name.removeprefix('seaway-')}.toml"
    if described:
        yield Example("See whether this version can run on this host:", f"{name} --selftest --config {file}")
        yield Example("See what holds, and which file says so:", f"{name} --settings --config {file}")
    else:
        yield Example("See who may say what on a host's bus:", f"{name} permissions")
    if name == "seaway-runtime":
        yield Example("Write a bundle's configuration, and what would be done with it:", "seaway-runtime spec")


def _paragraphs(readme: str) -> list[str]:
    """What stands between a README's title and its first list, table, code or heading."""
    found = []
    for paragraph in readme.partition("\n")[2].strip().split("\n\n"):
        if paragraph.startswith(("* ", "- ", "| ", "#", "    ", "```")):
            break
        found.append(re.sub(r"\*(\w[^*]*)\*", r"\1", re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", paragraph)))
    while found and (found[-1].endswith(":") or "un it alone" in found[-1] or "Alone, on" in found[-1]):
        found.pop()
    return found


def _lowered(summary: str) -> str:
    """Without its article, and with a small letter where it isn't a name's."""
    summary = summary.removeprefix("The ").removeprefix("A ")
    head = summary.split()[0]
    return summary if head[1:] != head[1:].lower() or head in ("Docker",) else summary[:1].lower() + summary[1:]
