"""A leaf that obeys nobody: it has a host's credential and certificate, and says to the hub whatever it likes.

A host's own server keeps to the permissions that the hub has told it; somebody who owns a host needn't. So what the hub
itself refuses is seen here. The protocol is nats-server's for leaf nodes: INFO, CONNECT, LS+, LMSG, HMSG.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nkeys
from seaway_bus.hub_address import split


class HostileLeaf:
    """One connection to a hub's port for leaves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard: list[tuple[str, bytes]] = []
        self.lines: list[str] = []
        self._pongs = 0
        self._task: asyncio.Task[None] | None = None

    async def greet(self, credentials: Path) -> None:
        lines = credentials.read_text().splitlines()
        jwt = lines[lines.index("-----BEGIN NATS USER JWT-----") + 1].strip()
        seed = lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1].strip()
        info = json.loads((await self._reader.readline()).decode().partition(" ")[2])
        signature = nkeys.from_seed(bytearray(seed.encode())).sign(info["nonce"].encode())
        said = {
            "jwt": jwt,
            "sig": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
            "server_id": "HOSTILE",
            "name": "hostile",
            "domain": "hostile",
            "headers": True,
            "jetstream": True,
            "compression": "off",
            "protocol": 1,
        }
        self._writer.write(f"CONNECT {json.dumps(said)}\r\nPING\r\n".encode())
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := (await self._reader.readline()).decode(errors="replace").rstrip():
                words = line.split()
                if words[0] in ("LMSG", "HMSG"):
                    body = await self._reader.readexactly(int(words[-1]) + 2)
                    self.heard.append((words[1], body[:-2]))
                    continue
                self.lines.append(line)
                if words[0] == "PING":
                    self._writer.write(b"PONG\r\n")
                self._pongs += words[0] == "PONG"

    def listen(self, subject: str) -> None:
        self._writer.write(f"LS+ {subject}\r\n".encode())

    def say(self, subject: str, payload: bytes, reply: str = "") -> None:
        to = f"{subject} {reply}" if reply else subject
        self._writer.write(f"LMSG {to} {len(payload)}\r\n".encode() + payload + b"\r\n")

    @property
    def cut(self) -> bool:
        """Whether the hub has hung up."""
        return self._task is not None and self._task.done()

    async def settle(self) -> bool:
        """Whether the hub still bears us, once all that was said has reached it and its answers have been heard."""
        before = self._pongs
        self._writer.write(b"PING\r\n")
        async with asyncio.timeout(20):
            while self._pongs == before and not self.cut:
                await asyncio.sleep(0.005)
        return not self.cut


@asynccontextmanager
async def hostile_leaf(address: str, place: Path) -> AsyncIterator[HostileLeaf]:
    """Connected to the hub at an address with what is in a host's place in the fleet."""
    host, port = split(address)
    tls = ssl.create_default_context(cafile=str(place / "authority.pem"))
    tls.load_cert_chain(place / "host.pem", place / "host.key")
    leaf = HostileLeaf(*await asyncio.open_connection(host, port, ssl=tls))
    try:
        await leaf.greet(place / "leaf.creds")
        await leaf.settle()
        yield leaf
    finally:
        leaf._writer.close()
        if leaf._task:
            leaf._task.cancel()
            with suppress(asyncio.CancelledError):
                await leaf._task
