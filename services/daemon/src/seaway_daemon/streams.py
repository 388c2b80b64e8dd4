"""Copies between a client's connection and the bus flows of a process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import StreamReader
from seaway_bus import Bus, Receiver, Sender
from seaway_protocol.errors import Error

from seaway_daemon.conversation.connection import Conversation
from seaway_daemon.framing import DetachKeys, frame

_MOST = 256 * 1024
"""Bytes of input that are read at a time."""

_REST = 2.0
"""Seconds for what is left of a flow when the call that it belongs to was answered."""


@dataclass
class Flows:
    """The flows of one attachment: opened, that is listening, before the shim is asked to use them.

    `before` is how many bytes went into the second one before the client's.
    """

    output: Receiver
    stdin: Sender | None
    before: int = 0

    async def before_all(self, head: bytes) -> None:
        """Write what comes before the client's bytes; a receiver that has it already takes no notice."""
        if self.stdin:
            with contextlib.suppress(Error):  # who reads no more is met by the reader of the output
                await self.stdin.write(head)

    async def close(self) -> None:
        """Let go of both; a shim that still writes is told that nobody reads."""
        if self.stdin:
            await self.stdin.abort()
        await self.output.aclose()

    async def end(self, conversation: Conversation) -> None:
        """The output is over: tell the client first, so that nobody who comes after us waits for the rest of it."""
        await conversation.end()
        self.output.acknowledge()

    async def hand_over(self) -> None:
        """Let go of both without a word: another daemon goes on."""
        if self.stdin:
            await self.stdin.hand_over()
        await self.output.abort()

    @contextlib.asynccontextmanager
    async def until_end_of(self, conversation: Conversation) -> AsyncIterator[None]:
        """Keep them for the time of an `async with`."""
        try:
            yield
        finally:
            await (self.hand_over() if conversation.handed_over else self.close())


async def open_flows(
    bus: Bus, container: str, output: str, stdin: str = "", *, mark: int = 0, passed: int = 0
) -> Flows:
    """Flows of a container's shim that listen already, from `mark` of the output and `passed` of the input on."""
    receiver = await bus.receiver(container, output, start=mark, explicit=True)
    return Flows(receiver, await bus.sender(container, stdin, start=passed) if stdin else None)


async def converse(
    conversation: Conversation, flows: Flows, *, framed: bool, detach: DetachKeys | None
) -> Error | None:
    """Copy both ways until the output has ended, the client has detached, or it is gone.

    The client closing its half ends the process's input only. Returns why the output broke off; None where it ended.
    """
    reading = asyncio.create_task(copy(conversation, flows.output, framed=framed), name="copy output")
    writing = asyncio.create_task(_copy_input(conversation, flows, detach), name="copy input")
    leaving = asyncio.create_task(conversation.gone.wait(), name="client's leave")
    try:
        # What a client that is gone has sent before is still the process's, so its input comes to its end first.
        await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        if detach and detach.found:
            return None
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        return await reading if reading.done() else None
    finally:
        for task in (reading, writing, leaving):
            task.cancel()
        await asyncio.gather(reading, writing, leaving, return_exceptions=True)


async def copy(conversation: Conversation, output: Receiver, *, framed: bool) -> Error | None:
    """Copy a flow to the client, to its end. Returns why it broke off; None where it ended or the client is gone."""
    try:
        async for channel, data in output:
            await conversation.write(frame(channel or 1, data) if framed else data, mark=output.position)
            output.acknowledge()
    except ConnectionError:
        return None
    except Error as error:
        return error
    return None


async def tell(conversation: Conversation, text: str, *, framed: bool, channel: int = 2) -> None:
    """Say something to the client in the process's stream; nothing else is left once the head was sent."""
    line = f"{text}\r\n".encode()
    with contextlib.suppress(ConnectionError):
        await conversation.write(frame(channel, line) if framed else line)


async def _copy_input(conversation: Conversation, flows: Flows, detach: DetachKeys | None) -> None:
    """Until the client's end of file, which becomes the process's; a process that reads no more isn't an error.

    Input is kept until the shim has consumed it, so no more is read than the flow takes at once.
    """
    stdin = flows.stdin
    while True:
        stdin, room = await _room(conversation, stdin, flows.before)
        data = await conversation.read(min(room, _MOST))
        if not data:
            break
        passed = detach.feed(data) if detach else data
        if stdin and passed:
            stdin = await _written(stdin, passed)
        if detach and detach.found:
            return
    if stdin:
        with contextlib.suppress(Error):
            await stdin.close()


async def _room(conversation: Conversation, stdin: Sender | None, before: int) -> tuple[Sender | None, int]:
    """How much may be read; without a reader any amount, since the client must not block on what nobody wants."""
    if stdin:
        with contextlib.suppress(Error):
            room = await stdin.room()
            conversation.pass_on(stdin.consumed - before)
            return stdin, room
    conversation.pass_on(conversation.taken)
    return None, _MOST


async def _written(stdin: Sender, data: bytes) -> Sender | None:
    try:
        await stdin.write(data)
    except Error:
        return None
    return stdin


async def received(answer: asyncio.Task[object], output: Receiver) -> AsyncIterator[tuple[int, bytes]]:
    """A flow's pieces while the call that opened it is being answered; the call's error ends it.

    A service that fails before it uses the flow doesn't end it, so both are watched. It answers when the flow's end was
    read, so what comes after the answer is nothing, or the rest for somebody who goes on with the flow.
    """
    reading: asyncio.Task[tuple[int, bytes] | None] | None = None
    try:
        while True:
            reading = asyncio.create_task(output.read())
            await asyncio.wait({reading, answer}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and not answer.exception():
                await asyncio.wait({reading}, timeout=_REST)
            if answer.done() and not reading.done():
                break
            piece = await reading
            if piece is None:
                output.acknowledge()
                break
            yield piece
        await answer
    finally:
        for task in (reading, answer):
            if task and not task.done():
                task.cancel()


async def upload(answer: asyncio.Task[object], content: StreamReader, stdin: Sender) -> None:
    """Send a request's body into a flow while the call that opened it is being answered; wait for that answer."""

    async def send() -> None:
        async for chunk in content.iter_any():
            await stdin.write(chunk)
        await stdin.close()

    sending = asyncio.create_task(send(), name="upload")
    try:
        await asyncio.wait((sending, answer), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not answer.done() and sending.exception():
            await stdin.abort()
            with contextlib.suppress(Error):
                await answer
            await sending
        await answer
    finally:
        for task in (sending, answer):
            task.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await stdin.abort()
