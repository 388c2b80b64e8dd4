"""The sockets the API is served on: unix sockets of our own, those systemd passes, and TCP with mutual TLS alone."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import ssl
import stat
from collections.abc import Iterable
from pathlib import Path

from seaway_service import Passed

from seaway_daemon.settings import DaemonSettings

_BACKLOG = 1024


class CannotListen(Exception):
    """A socket can't be served on; the text says which and why."""


def listeners(passed: Iterable[Passed]) -> list[socket.socket]:
    """The sockets among what we were started with that the service manager listens on for us."""
    sockets = [socket.socket(fileno=each.descriptor) for each in passed if _listens(each.descriptor)]
    for each in sockets:
        if each.family != socket.AF_UNIX:
            raise CannotListen("cannot serve on a TCP socket passed by systemd: without TLS it would let anybody in")
    return sockets


def _listens(descriptor: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as probe:
        return bool(probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def unix(path: Path, mode: int, group: str) -> socket.socket:
    """A listening unix socket. One that a daemon before us has left is replaced; one in use is refused."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _answers(path):
            raise CannotListen(f"cannot serve on {path}: another engine answers there")
        path.parent.mkdir(parents=True, exist_ok=True)
        _bind(listener, path, mode, group)
        listener.listen(_BACKLOG)
        return listener
    except (OSError, KeyError) as error:
        listener.close()
        reason = f"there is no group {group}" if isinstance(error, KeyError) else error.strerror or str(error)
        raise CannotListen(f"cannot serve on {path}: {reason}") from error
    except CannotListen:
        listener.close()
        raise


def _bind(listener: socket.socket, path: Path, mode: int, group: str) -> None:
    """Bind under another name and rename, so that nobody meets the socket before its mode and group are right."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    listener.bind(str(draft))
    draft.chmod(mode)
    if group:
        os.chown(draft, -1, grp.getgrnam(group).gr_gid)
    draft.rename(path)


def _answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class Certificates:
    """The TLS context of new connections, as an event loop asks for it. Replaced while others go on with theirs."""

    def __init__(self, settings: DaemonSettings) -> None:
        """Raises CannotListen."""
        self._context = _context(settings)

    def renew(self, settings: DaemonSettings) -> None:
        """Read the files again. Raises CannotListen; then the former ones stay."""
        self._context = _context(settings)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool) -> ssl.SSLObject:
        """As ssl.SSLContext does: called once for each connection."""
        return self._context.wrap_bio(incoming, outgoing, server_side=server_side)


def tls(settings: DaemonSettings) -> tuple[str, int, Certificates] | None:
    """Address, port and certificates to serve TCP with; None where it isn't asked for. Raises CannotListen."""
    if not settings.tcp:
        return None
    files = (settings.tls_certificate, settings.tls_key, settings.tls_authority)
    if not all(files):
        raise CannotListen(
            f"cannot serve on {settings.tcp}: TCP needs mutual TLS; set tls_certificate, tls_key and tls_authority"
        )
    host, _, port = settings.tcp.rpartition(":")
    if not port.isdigit():
        raise CannotListen(f"cannot serve on {settings.tcp}: it isn't address:port")
    return host.strip("[]"), int(port), Certificates(settings)


def _context(settings: DaemonSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        context.load_verify_locations(settings.tls_authority)
    except OSError as error:
        raise CannotListen(f"cannot serve on {settings.tcp}: cannot use its TLS files: {error}") from error
    return context
