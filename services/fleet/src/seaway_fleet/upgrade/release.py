"""A release on its way to this host: who has signed it, whether it is newer, and each package by its digest.

<state>/fleet/release.pub      the key that this host trusts, since it joined
<state>/fleet/release.serial   of the newest release that it has accepted
<state>/fleet/packages/<id>/   the packages of a release, whole
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from seaway_bus.signatures import verify
from seaway_protocol import releases
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.releases import Manifest, Package
from seaway_service import durable

KEY, SERIAL, PACKAGES = "release.pub", "release.serial", "packages"

Fetch = Callable[[str], AsyncIterator[bytes]]
"""The pieces of a published object, by its name. Raises NotFound."""


class Releases:
    """What this host trusts and has fetched."""

    def __init__(self, directory: Path, fetch: Fetch) -> None:
        self._directory = directory
        self._fetch = fetch

    async def manifest(self, id: str) -> Manifest:
        """The manifest of a release, once its signature is that of the key which this host trusts.

        Raises NotFound where it wasn't published, PermissionDenied where it is signed by another key or not at all.
        """
        text = b"".join([piece async for piece in self._fetch(releases.release_object(id))])
        signed = releases.parse(text)
        trusted = self._trusted()
        if signed.key != trusted:
            raise PermissionDenied(
                f"cannot use the release {id}: it is signed with {signed.key}, and this fleet trusts {trusted} alone"
            )
        try:
            verify(trusted, signed.message(), signed.signature)
        except PermissionDenied:
            raise PermissionDenied(
                f"cannot use the release {id}: its manifest isn't what was signed; publish it again"
            ) from None
        found = releases.manifest(signed.body)
        if found.id != id:
            raise PermissionDenied(f"cannot use the release {id}: its manifest is that of {found.id}")
        return found

    async def take(self, id: str, services: Iterable[str]) -> Path:
        """The directory with the packages of these services, each checked while it came; what is there is kept.

        Raises as `manifest` does, Conflict for a release older than one that this host has accepted, and Unavailable
        where the disk is full.
        """
        manifest = await self.manifest(id)
        self._not_older(manifest)
        wanted = [each for each in manifest.packages if each.service in set(services)]
        place = self._directory / PACKAGES / manifest.id
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            for package in wanted:
                await self._have(package, place)
            for other in set(place.iterdir()) - {place / each.name for each in wanted}:
                other.unlink()  # `seaway upgrade --from` takes all that it finds
            durable.sync(place)
            self._accept(manifest)
        except OSError as error:
            raise Unavailable(f"cannot fetch the release {id}: {error.strerror}: {place}") from error
        return place

    def drop_others(self, keep: str) -> None:
        """Remove the packages of all releases but one."""
        with contextlib.suppress(FileNotFoundError):
            for place in (self._directory / PACKAGES).iterdir():
                if place.name != keep:
                    shutil.rmtree(place, ignore_errors=True)

    async def _have(self, package: Package, place: Path) -> None:
        whole, part = place / package.name, place / f".{package.name}"
        if await asyncio.to_thread(_digest, whole) == package.digest:
            return
        digest, size = hashlib.sha256(), 0
        with part.open("wb") as file:
            async for piece in self._fetch(releases.package_object(package.digest)):
                size += len(piece)
                if size > package.size:
                    break
                digest.update(piece)
                file.write(piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if size != package.size or digest.hexdigest() != package.digest:
            part.unlink()
            raise PermissionDenied(f"cannot use {package.name}: its content isn't what was signed; publish it again")
        part.rename(whole)

    def _trusted(self) -> str:
        try:
            return (self._directory / KEY).read_text().strip()
        except OSError:
            place = self._directory / KEY
            raise Conflict(
                f"cannot use a release: this host trusts no release key; {place} is written when it joins a fleet"
            ) from None

    def _not_older(self, manifest: Manifest) -> None:
        newest = self._serial()
        if manifest.serial < newest:
            raise Conflict(
                f"cannot use the release {manifest.id}: it is older (serial {manifest.serial}) than one that this host "
                f"has accepted ({newest}); publish what you want again, as a new release"
            )

    def _serial(self) -> int:
        try:
            return int((self._directory / SERIAL).read_text())
        except (OSError, ValueError):
            return 0

    def _accept(self, manifest: Manifest) -> None:
        if manifest.serial > self._serial():
            durable.write(self._directory / SERIAL, str(manifest.serial))


def _digest(path: Path) -> str:
    """The SHA-256 of a file, in hex; "" where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def check_services(manifest: Manifest, wanted: Iterable[str]) -> dict[str, str]:
    """The versions that an upgrade brings. Raises InvalidArgument, NotFound where the release hasn't what is wanted."""
    brought = manifest.services()
    if not brought:
        raise InvalidArgument(f"cannot use the release {manifest.id}: it has no packages")
    missing = [each for each in wanted if each not in brought]
    if missing:
        raise NotFound(f"cannot upgrade {', '.join(missing)}: the release {manifest.id} has {', '.join(brought)}")
    return {each: brought[each] for each in (tuple(wanted) or brought)}
