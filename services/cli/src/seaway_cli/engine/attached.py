"""A terminal or a pipe on this side, a container's streams on the other: what `run` and `exec` have in common."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator


def relay(connection: socket.socket, *, stdin: bool, terminal: bool) -> None:
    """Copy both ways until the container's side ends. Our end of file is passed on as a half-close."""
    with selectors.PollSelector() as selector:  # epoll(7) takes no regular file, which standard input may be
        selector.register(connection, selectors.EVENT_READ)
        if stdin:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        frames = Frames() if not terminal else None
        while True:
            for key, _ in selector.select():
                if key.fileobj is connection:
                    data = connection.recv(65536)
                    if not data:
                        return
                    _show(data, frames)
                elif not _forward(connection):
                    selector.unregister(sys.stdin.fileno())


def _forward(connection: socket.socket) -> bool:
    data = os.read(sys.stdin.fileno(), 65536)
    if data:
        connection.sendall(data)
        return True
    connection.shutdown(socket.SHUT_WR)
    return False


def _show(data: bytes, frames: Frames | None) -> None:
    for channel, piece in frames.feed(data) if frames else [(1, data)]:
        stream = sys.stderr.buffer if channel == 2 else sys.stdout.buffer
        stream.write(piece)
        stream.flush()


class Frames:
    """Takes the 8-byte frames apart that carry stdout and stderr on one connection (Engine API, "Stream format")."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The whole frames that `data` completes, as (channel, bytes)."""
        self._rest += data
        found = []
        while len(self._rest) >= 8:
            channel, size = struct.unpack(">BxxxI", self._rest[:8])
            if len(self._rest) < 8 + size:
                break
            found.append((channel, self._rest[8 : 8 + size]))
            self._rest = self._rest[8 + size :]
        return found


@contextlib.contextmanager
def raw_terminal(resize: Callable[[int, int], object]) -> Iterator[None]:
    """Our terminal in raw mode, its size told to `resize` now and whenever it changes; put back on the way out."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    previous = signal.signal(signal.SIGWINCH, lambda *_: tell())

    def tell() -> None:
        size = shutil.get_terminal_size()
        with contextlib.suppress(Exception):  # a container that has just ended has no terminal to resize
            resize(size.columns, size.lines)

    try:
        tty.setraw(sys.stdin)
        tell()
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
