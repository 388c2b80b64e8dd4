"""`seaway fleet`: many hosts seen, asked and upgraded as one. Each module has the verbs of one subject."""

from __future__ import annotations

import click

from seaway_cli.fleet.acting import ACTING
from seaway_cli.fleet.audit import AUDIT
from seaway_cli.fleet.membership import MEMBERSHIP
from seaway_cli.fleet.seeing import SEEING
from seaway_cli.fleet.streams import STREAMS
from seaway_cli.fleet.upgrading import UPGRADING


@click.group()
def fleet() -> None:
    """Hosts that share a bus: join them, see what runs on all of them, act on many at once."""


for verb in (*MEMBERSHIP, *ACTING, *AUDIT, *SEEING, *STREAMS, *UPGRADING):
    fleet.add_command(verb)
