"""An archive that a client sends, as the pieces that arrive of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from seaway_bus import Receiver


async def pieces(receiver: Receiver) -> AsyncIterator[bytes]:
    """The bytes of a flow of one channel. Raises what a flow that broke off raises."""
    async for _, data in receiver:
        yield data
