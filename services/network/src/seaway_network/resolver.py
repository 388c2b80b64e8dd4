"""The name server of a container in user networks: 127.0.0.11 in the container's own namespace.

It answers for the container's peers and asks the host's name servers, from the host, for everything else. The sockets
have ports of their own, to which the namespace redirects port 53, so that a container may be a name server itself.
Two table rows inside the namespace are all that is installed there; they are rewritten when the service starts again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
import socket
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
from seaway_service.metrics import Counts

from seaway_network import namespaces
from seaway_network.addresses import Address
from seaway_network.kept_sockets import Pair, are_here
from seaway_network.names import SERVER

_log = logging.getLogger(__name__)
_PORT = 53
_TTL = 5
_TRY_SECONDS = 2.0
_OUTSTANDING = 128
_LONGEST = 65535
_REDIRECT = """\
table ip seaway_names {{}}
delete table ip seaway_names
table ip seaway_names {{
    chain output {{
        type nat hook output priority -100;
        ip daddr {address} udp dport 53 dnat to {address}:{udp}
        ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
    }}
}}
"""


@dataclass(frozen=True)
class Directory:
    """What a resolver asks: the addresses of a peer's name, the name of a peer's address, and the servers beyond.

    `servers` is empty where nothing beyond is to be asked.
    """

    addresses: Callable[[str], Sequence[Address]]
    name: Callable[[Address], str | None]
    servers: Callable[[], Sequence[str]]


class Resolver(asyncio.DatagramProtocol):
    """One container's name server. `open_sockets` first, in the kernel's thread; then `serve`, in the loop.

    Questions are counted in `questions`: those that a peer's name answers, those that were asked on, and those that
    nobody has answered, or that were dropped.
    """

    def __init__(self, directory: Directory, questions: Counts) -> None:
        self._directory = directory
        self._questions = questions
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sockets: Pair) -> None:
        """Answer on the sockets until closed."""
        udp, tcp = sockets
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        self._tcp = await asyncio.start_server(self._converse, sock=tcp)

    def close(self) -> None:
        """Answer no more."""
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A query by UDP. Beyond what is bearable they are dropped, as UDP may; the asker asks again."""
        if len(self._tasks) < _OUTSTANDING:
            self._start(self._reply(data, addr))
        else:
            self._questions.add("dropped")

    async def _reply(self, data: bytes, address: Any) -> None:
        answer = await self._answer(data, _ask_by_udp)
        if answer and self._udp and not self._udp.is_closing():
            self._udp.sendto(answer, address)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(30):
                while True:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    answer = await self._answer(await reader.readexactly(length), _ask_by_tcp)
                    if not answer:
                        return
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            pass
        finally:
            writer.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, ask: Callable[[str, bytes], Coroutine[Any, Any, bytes]]) -> bytes | None:
        try:
            query = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        if known := self._known(query):
            self._questions.add("seaway")
            return known.to_wire(max_size=_LONGEST)
        for server in self._directory.servers():
            try:
                async with asyncio.timeout(_TRY_SECONDS):
                    answer = await ask(server, data)
                self._questions.add("upstream")
                return answer
            except (OSError, TimeoutError) as error:
                _log.debug("Name server %s doesn't answer: %s", server, error)
        self._questions.add("failed" if self._directory.servers() else "refused")
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(dns.rcode.SERVFAIL if self._directory.servers() else dns.rcode.REFUSED)
        return response.to_wire()

    def _known(self, query: dns.message.Message) -> dns.message.Message | None:
        """The answer where the question is about a peer; of a type peers have nothing of, an empty one."""
        if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
            return None
        question = query.question[0]
        found = self._records(question.name, question.rdtype)
        if found is None:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if found:
            kind = dns.rdatatype.to_text(question.rdtype)
            response.answer.append(dns.rrset.from_text_list(question.name, _TTL, "IN", kind, found))
        return response

    def _records(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[str] | None:
        """What there is of a kind under a name of ours; None where the name isn't ours."""
        if kind == dns.rdatatype.PTR:
            try:
                peer = self._directory.name(ipaddress.ip_address(dns.reversename.to_address(name)))
            except (dns.exception.DNSException, ValueError):
                return None
            return [f"{peer}."] if peer else None
        addresses = self._directory.addresses(name.to_text(omit_final_dot=True))
        if not addresses:
            return None
        version = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(kind)
        return [str(each) for each in addresses if each.version == version]


def open_sockets(path: Path, kept: Pair | None = None) -> Pair:
    """The resolver's UDP and TCP sockets in the namespace pinned at `path`, port 53 redirected to them.

    The `kept` ones are taken where they are of that namespace, and closed where they aren't.
    """

    def act() -> Pair:
        if kept and are_here(kept):
            return kept
        for each in kept or ():
            each.close()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            udp.bind((SERVER, 0))
            tcp.bind((SERVER, 0))
            tcp.listen()
            rules = _REDIRECT.format(address=SERVER, udp=udp.getsockname()[1], tcp=tcp.getsockname()[1])
            program = shutil.which("nft") or "nft"
            subprocess.run([program, "-f", "-"], input=rules, text=True, check=True, capture_output=True, timeout=30)
        except BaseException:
            udp.close()
            tcp.close()
            raise
        return udp, tcp

    return namespaces.inside(path, act)


async def _ask_by_udp(server: str, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Question(answered, query[:2]), remote_addr=(server, _PORT)
    )
    try:
        transport.sendto(query)
        return await answered
    finally:
        transport.close()


async def _ask_by_tcp(server: str, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, _PORT)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the answer ended early") from error
    finally:
        writer.close()


class _Question(asyncio.DatagramProtocol):
    """One query beyond: its first answer with the right number counts."""

    def __init__(self, answered: asyncio.Future[bytes], number: bytes) -> None:
        self._answered = answered
        self._number = number

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[:2] == self._number and not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
