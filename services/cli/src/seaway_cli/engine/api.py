"""A small client of the Engine API on a unix socket: requests, streams of JSON lines, and hijacked connections."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

API = "/v1.44"
DEFAULT_SOCKET = "/run/seaway/engine.sock"


def socket_path(given: Path | None) -> Path:
    """The engine's socket: the one given, that of $SEAWAY_HOST, or the host's own engine's."""
    return given or Path(os.environ.get("SEAWAY_HOST", DEFAULT_SOCKET).removeprefix("unix://"))


class EngineError(Exception):
    """The engine's refusal, in its own words, with the HTTP status; or that it can't be reached (status 0)."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float | None) -> None:
        super().__init__("seaway")
        self._seconds = seconds
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(str(self._path))


class Engine:
    """One engine, by its socket; or that of another host of its fleet, `node`, by way of it."""

    def __init__(self, path: Path, seconds: float | None = None, node: str = "") -> None:
        self._path = path
        self._seconds = seconds
        self._node = node

    def within(self, seconds: float) -> Engine:
        """The same engine, which must send something in so many seconds each time that something is expected."""
        return Engine(self._path, seconds, self._node)

    def at(self, node: str) -> Engine:
        """The engine of a host of this one's fleet."""
        return Engine(self._path, self._seconds, node)

    def ask(self, method: str, route: str, body: Any = None, **query: Any) -> Any:
        """One request, its JSON answer, or None where there is no body. Raises EngineError."""
        response = self._send(method, route, body, query)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"cannot read the engine's answer: {error or type(error).__name__}") from error
        return json.loads(content) if content and "json" in response.headers.get("Content-Type", "") else None

    def lines(self, method: str, route: str, **query: Any) -> Iterator[dict[str, Any]]:
        """One request whose answer is a stream of JSON objects."""
        response = self._send(method, route, None, query)
        while line := response.readline():
            yield json.loads(line)

    def stream(self, method: str, route: str, **query: Any) -> http.client.HTTPResponse:
        """A request whose answer is read as it comes."""
        return self._send(method, route, None, query)

    def upload(self, route: str, content: bytes, kind: str, **query: Any) -> list[Any]:
        """A POST with a body of some media type; the JSON lines of its answer. Raises EngineError, for theirs too."""
        response = self._send_content("POST", route, content, kind, query)
        told = [json.loads(line) for line in response.read().splitlines() if line.strip()]
        if errors := [each["error"] for each in told if "error" in each]:
            raise EngineError(errors[0])
        return told

    def put(self, route: str, content: bytes | Path) -> Any:
        """A PUT of bytes, or of a file as it stands; its JSON answer. Raises EngineError, OSError for the file."""
        if isinstance(content, bytes):
            response = self._send_content("PUT", route, content, "application/octet-stream", {})
        else:
            with content.open("rb") as file:
                response = self._send_content("PUT", route, file, "application/octet-stream", {})
        return json.loads(response.read() or b"null")

    def hijack(self, route: str, body: Any = None, **query: Any) -> socket.socket:
        """A POST that turns the connection into raw bytes both ways. Raises EngineError where the engine won't."""
        connection = self._connect()
        content = json.dumps(body).encode() if body is not None else b""
        head = (
            f"POST {self._url(route, query)} HTTP/1.1\r\nHost: seaway\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection.sock.sendall(head.encode() + content)
        # Byte by byte up to the blank line: what follows it belongs to the stream.
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            byte = connection.sock.recv(1)
            if not byte:
                raise EngineError("cannot attach: the engine closed the connection")
            received += byte
        status = int(received.split(None, 2)[1])
        if status not in (101, 200):
            raise EngineError(_message(connection.sock.recv(65536)), status)
        stream: socket.socket = connection.sock
        return stream

    def _url(self, route: str, query: dict[str, Any]) -> str:
        return f"/nodes/{self._node}{_url(route, query)}" if self._node else _url(route, query)

    def _connect(self) -> _UnixConnection:
        connection = _UnixConnection(self._path, self._seconds)
        try:
            connection.connect()
        except OSError as error:
            raise EngineError(
                f"cannot reach the engine at {self._path}: {error.strerror}; start it with: sudo seaway up"
            ) from error
        return connection

    def _send(self, method: str, route: str, body: Any, query: dict[str, Any]) -> http.client.HTTPResponse:
        content = json.dumps(body).encode() if body is not None else b""
        return self._send_content(method, route, content, "application/json", query)

    def _send_content(
        self, method: str, route: str, content: bytes | BinaryIO, kind: str, query: dict[str, Any]
    ) -> http.client.HTTPResponse:
        connection = self._connect()
        headers = {"Content-Type": kind} if content else {}
        if not isinstance(content, bytes):
            headers["Content-Length"] = str(os.fstat(content.fileno()).st_size)
        try:
            connection.request(method, self._url(route, query), content or None, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"cannot ask the engine at {self._path}: {error or type(error).__name__}") from error
        if response.status >= 400:
            raise EngineError(_message(response.read()), response.status)
        return response


def _url(route: str, query: dict[str, Any]) -> str:
    given = {key: _parameter(value) for key, value in query.items() if value not in (None, False)}
    return f"{API}{route}{'?' + urlencode(given, doseq=True) if given else ''}"


def _parameter(value: Any) -> str | tuple[str, ...]:
    """A parameter's text; a tuple is one that is repeated."""
    if isinstance(value, tuple):
        return tuple(map(str, value))
    if isinstance(value, dict | list):
        return json.dumps(value)
    return "1" if value is True else str(value)


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content.split(b"\r\n\r\n")[-1] or b"{}").get("message", "no reason given"))
    except ValueError:
        return content.decode(errors="replace").strip()
