"""One question to every host of the fleet, and what comes back of it within a time.

Answers are kept as they arrive and decoded between arrivals, so that a thousand at once don't have to wait for each
other in the server, which would cut a reader that is too slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from seaway_protocol.errors import DeadlineExceeded, Error
from seaway_protocol.kinds import Call, Message

from seaway_bus import failures
from seaway_bus.codec import decode
from seaway_bus.wire import Msg, is_nobody

R = TypeVar("R", bound=Message)

_AT_ONCE = 16
"""Answers decoded before those that have arrived meanwhile are taken from the connection."""


@dataclass(frozen=True)
class Gathered(Generic[R]):
    """What hosts have answered, by node; what they refused, by node; and who was expected or late in vain."""

    answers: dict[str, R] = field(default_factory=dict)
    errors: dict[str, Error] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


class Gathering(Generic[R]):
    """The answers to one question, as they come."""

    def __init__(self, call: Call[Any, R], expected: Iterable[str]) -> None:
        self._call = call
        self._expected = frozenset(expected)
        self._outstanding = set(self._expected)
        self._heard: set[str] = set()
        self._late: set[str] = set()
        self._arrived: deque[tuple[str, Msg]] = deque()
        self._changed = asyncio.Event()
        self._nobody = False
        self._refusal: Error | None = None
        self._gathered: Gathered[R] = Gathered()

    def hear(self, reply: Msg) -> None:
        """Take an answer; a node's first counts. Whose it is stands last in the subject, where only it can speak."""
        if is_nobody(reply):
            self._nobody = True
        else:
            node = reply.subject.rpartition(".")[2]
            if node in self._heard:
                return
            self._heard.add(node)
            self._outstanding.discard(node)
            self._arrived.append((node, reply))
        self._changed.set()

    def give_up(self) -> None:
        """Expect no more: the connection broke, and the answers with it."""
        self._nobody = True
        self._changed.set()

    def refuse(self, error: Error) -> None:
        """The bus doesn't let us ask."""
        self._refusal = error
        self.give_up()

    @property
    def complete(self) -> bool:
        """Whether all who are expected have answered. Where nobody is named, nobody knows."""
        return self._nobody or bool(self._expected and not self._outstanding)

    async def result(self, seconds: float) -> Gathered[R]:
        """All answers, as soon as everyone expected has answered, and after `seconds` in any case.

        Raises what the question was refused with.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.complete and (left := end - loop.time()) > 0:
            await self._understand()
            await self._more(left)
        while self._arrived:
            await self._understand()
        if self._refusal:
            raise self._refusal
        missing = tuple(sorted(self._outstanding | self._late))
        return Gathered(self._gathered.answers, self._gathered.errors, missing)

    async def _more(self, seconds: float) -> None:
        """Wait until something has arrived that isn't understood yet."""
        if not self._arrived and not self.complete:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _understand(self) -> None:
        """Decode a few answers, then let others have their turn."""
        for _ in range(min(_AT_ONCE, len(self._arrived))):
            node, reply = self._arrived.popleft()
            try:
                if error := failures.from_reply(reply.headers, reply.data):
                    raise error
                self._gathered.answers[node] = decode(reply.data, self._call.reply, f"the answer of {node}")
            except DeadlineExceeded:
                self._late.add(node)
            except Error as error:
                self._gathered.errors[node] = error
        await asyncio.sleep(0)
