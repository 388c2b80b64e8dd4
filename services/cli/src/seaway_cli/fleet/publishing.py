"""Publishing packages to a fleet: their digests, a manifest signed with the fleet's release key, and the upload."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seaway_bus.credentials import Key
from seaway_protocol import releases
from seaway_protocol.errors import Error
from seaway_protocol.releases import Manifest, Package, SignedManifest

from seaway_cli.engine.api import Engine, EngineError
from seaway_cli.upgrade import versions

KEY = Path("/var/lib/seaway/hub/keys/release.nk")
"""Where a host that runs the fleet's hub keeps the key that signs releases."""


class NotPublished(Exception):
    """Why packages can't be published, as a sentence."""


@dataclass(frozen=True)
class Found:
    """A package's file, and how the manifest speaks of it."""

    path: Path
    package: Package


def packages(directory: Path, services: tuple[str, ...]) -> list[Found]:
    """The packages in a directory, of two versions of a service the newer one. Raises NotPublished where none is."""
    found = [each for each in versions.packages(sorted(directory.iterdir())) if each.service in versions.ORDER]
    chosen = [each for each in found if not services or each.service in services]
    missing = sorted(set(services) - {each.service for each in chosen})
    if missing or not chosen:
        raise NotPublished(f"cannot publish: {directory} has no package of {', '.join(missing) or 'any service'}")
    order = {service: place for place, service in enumerate(versions.ORDER)}
    chosen.sort(key=lambda each: order[each.service])
    return [Found(each.path, _package(each)) for each in chosen]


def _package(each: versions.Package) -> Package:
    with each.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = each.path.stat().st_size
    return Package(service=each.service, version=each.version, name=each.path.name, size=size, digest=digest)


def signing_key(path: Path) -> Key:
    """The key in a file. Raises NotPublished where there is none."""
    try:
        return Key.of(path.read_text().strip())
    except OSError as error:
        raise NotPublished(
            f"cannot sign a release: {path}: {error.strerror}; run this on a host that runs the fleet's hub, as root, "
            "or say where its release key is with --key"
        ) from error
    except Error as error:
        raise NotPublished(f"cannot sign a release: {path}: {error.text}") from error


def sign(manifest: Manifest, key: Key) -> SignedManifest:
    """The manifest with its signature."""
    body = releases.body(manifest)
    return SignedManifest(key.public, key.sign(releases.CONTEXT + body), body)


def publish(engine: Engine, found: list[Found], key: Path, tell: Callable[[str], None]) -> str:
    """Publish packages, each once, and a release of them; its id. A release of the same packages is used again.

    Raises NotPublished, EngineError.
    """
    known = engine.ask("GET", "/fleet/releases")["Items"]
    digests = {each.package.digest for each in found}
    if known and {each["Digest"] for each in known[0]["Packages"]} == digests:
        return str(known[0]["Id"])
    signer = signing_key(key)
    for each in found:
        if not _there(engine, each.package):
            tell(f"publishing {each.path.name}")
            engine.put(f"/fleet/packages/{each.package.digest}", each.path)
    now = time.time_ns() // 1_000_000
    serial = max([now, *(each["Serial"] + 1 for each in known)])
    manifest = Manifest(id=_id(now, digests), serial=serial, packages=tuple(each.package for each in found))
    engine.put(f"/fleet/releases/{manifest.id}", sign(manifest, signer).text())
    tell(f"published release {manifest.id}")
    return manifest.id


def _there(engine: Engine, package: Package) -> bool:
    try:
        engine.ask("GET", f"/fleet/packages/{package.digest}")
    except EngineError as error:
        if error.status == 404:
            return False
        raise
    return True


def _id(now: int, digests: set[str]) -> str:
    mark = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:6]
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now / 1000))}-{mark}"
