"""Coming to a hub with a join token, before this host's own bus knows the way.

The hub is known by the fleet's certificate authority, which the token brings; nothing is told to anybody else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import seaway_bus
from seaway_bus import Bus
from seaway_bus.hub_address import JOIN, join_url, split
from seaway_protocol.errors import Error, PermissionDenied, Unavailable

from seaway_fleet.tokens import JoinToken

SECONDS = 10.0
"""How long a hub may take to answer."""


@asynccontextmanager
async def at_the_door(token: JoinToken, address: str, directory: Path) -> AsyncIterator[tuple[Bus, str]]:
    """A connection to the first hub that answers, and the address from which this host reaches it.

    `address` is tried alone where one is given; `directory` is one of our own, for the credential. Raises Unavailable
    where no hub can be reached, PermissionDenied where it isn't the fleet's, or doesn't take the token.
    """
    context = ssl.create_default_context(cadata=token.certificate)
    hub, own = await _first(token, (address,) if address else token.addresses, context)
    credential = directory / "joiner.creds"
    name = f"joiner-{token.key[:12]}"
    try:
        credential.touch(mode=0o600)
        credential.write_text(token.credential)
        bus = await _connected(join_url(hub), credential, name, context)
    finally:
        credential.unlink(missing_ok=True)
    async with bus:
        yield bus, own


async def _connected(url: str, credential: Path, name: str, context: ssl.SSLContext) -> Bus:
    """Raises PermissionDenied where the hub doesn't take the credential, and not for that it is just being changed."""
    for pause in (0.5, 1.0, 2.0):
        try:
            return await seaway_bus.connect(
                url, credentials=credential, name=name, node=name, wait=SECONDS, tls=context
            )
        except PermissionDenied:
            await asyncio.sleep(pause)
    raise PermissionDenied(
        "cannot join: the hub doesn't take the token; it has expired, or the clock here or there is wrong"
    )


async def _first(token: JoinToken, addresses: tuple[str, ...], context: ssl.SSLContext) -> tuple[str, str]:
    failure: Error = Unavailable("cannot join: the token names no hub; make another with: seaway fleet token")
    for address in addresses:
        try:
            return address, await asyncio.to_thread(_look, token, address, context)
        except Error as error:
            failure = error
    raise failure


def _look(token: JoinToken, address: str, context: ssl.SSLContext) -> str:
    """Whether a hub of the fleet answers; our own address on the way there."""
    host, port = split(address)
    try:
        with (
            socket.create_connection((host, port + JOIN), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return str(secured.getsockname()[0])
    except ssl.SSLCertVerificationError as error:
        raise PermissionDenied(
            f"cannot join: what answers at {host}:{port + JOIN} isn't a hub of the fleet {token.fleet}: "
            f"{error.verify_message}"
        ) from None
    except OSError as error:
        raise Unavailable(
            f"cannot join: the hub at {host}:{port + JOIN} can't be reached: {error.strerror or error}"
        ) from None
