"""The process that copies a container's files (`copying`), seen from the supervisor.

It ends with whoever asked, with us, and when nothing has moved for long, by its whole process group: a file system of
the container's own may never answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

from seaway_protocol.errors import Error, Internal, Unavailable, from_code

_COMMAND = (sys.executable, "-I", "-m", "seaway_supervisor.copying")
_PIECE = 256 * 1024

STALLED = 60.0
"""Seconds that the process may take for its next step: the answer, a piece read, a piece written."""

AWAITED = 600.0
"""Seconds that a client may take for its next piece, while the container that it copies to can't be started."""

Answer = dict[str, Any]


class Copier:
    """One order, for the time of an `async with`."""

    def __init__(self, order: Answer) -> None:
        self._order = order
        self._what = f"{_WORDS[order['do']]} container {order['name']}"

    async def __aenter__(self) -> Copier:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            json.dumps(self._order),
            stdin=pipe if self._order["do"] == "copy_in" else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            limit=_PIECE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output, self._errors = self._process.stdout, self._process.stderr
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        await asyncio.shield(self._ended())

    async def _ended(self) -> None:
        """Read what is left, for a pipe is closed where its end is seen; and reap."""
        for rest in (self._output, self._errors):
            with contextlib.suppress(ValueError):
                while await rest.read(_PIECE):
                    pass
        await self._process.wait()

    @property
    def process(self) -> int:
        """Its process id."""
        return self._process.pid

    async def answer(self) -> Answer:
        """What it says first. Raises what it refuses with."""
        answer = await self._first()
        if "done" in answer:
            done: Answer = answer["done"]
            return done
        raise self._failure(answer)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What it streams after that. Raises where it breaks off."""
        while piece := await self._step(self._output.read(_PIECE)):
            yield piece
        errors = await self._errors.read()
        if await self._process.wait():
            lines = errors.decode(errors="replace").strip().splitlines()
            raise self._failure(_parsed(lines[-1] if lines else ""))

    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        """Give it an archive. It may stop reading when it has seen enough, or given up."""
        source = self._process.stdin
        assert source is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while (piece := await self._next(pieces)) is not None:
                source.write(piece)
                await self._step(source.drain())
            source.close()

    async def extracted(self, pieces: AsyncIterator[bytes]) -> None:
        """Give it an archive, and wait until that is in its place. Raises what either end fails with."""
        answering = asyncio.ensure_future(self._output.readline())
        feeding = asyncio.ensure_future(self.feed(pieces))
        try:
            await asyncio.wait((answering, feeding), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                await feeding
            answer = _parsed((await self._step(answering)).decode())
        finally:
            for each in (answering, feeding):
                each.cancel()
            await asyncio.gather(answering, feeding, return_exceptions=True)
        if "done" not in answer:
            raise self._failure(answer)

    async def _first(self) -> Answer:
        return _parsed((await self._step(self._output.readline())).decode())

    async def _step(self, step: Any) -> Any:
        try:
            return await asyncio.wait_for(step, STALLED)
        except TimeoutError:
            raise Unavailable(f"cannot {self._what}: a file system has not answered for {STALLED:.0f} s") from None

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await asyncio.wait_for(anext(pieces, None), AWAITED)
        except TimeoutError:
            raise Unavailable(f"cannot {self._what}: nothing has been sent for {AWAITED:.0f} s") from None

    def _failure(self, answer: Answer) -> Error:
        if "error" not in answer:
            return Internal(f"cannot {self._what}: the copying process has died")
        error = from_code(answer["kind"], answer["error"])
        return type(error)(f"cannot {self._what}: {error.text}") if isinstance(error, Internal | Unavailable) else error


_WORDS = {
    "stat": "look at the files of",
    "copy_out": "copy from",
    "copy_in": "copy to",
    "export": "export",
    "diff": "compare the files of",
}


def _parsed(line: str) -> Answer:
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
