"""What the administrator decides about images. Part of the supervisor's settings, table `[images]`."""

from __future__ import annotations

import msgspec
from seaway_service.values import AbsolutePath, Bytes, Count, CountFromZero, Seconds, Url


class ImageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Registries, limits, and how much is done side by side."""

    insecure_registries: tuple[str, ...] = ()
    """Registries, `host[:port]`, that may be spoken to without a checked certificate or without TLS.

    Those on loopback may always."""

    mirrors: dict[str, tuple[Url, ...]] = {}
    """Per registry, base URLs that are asked before it: `{"docker.io" = ["https://mirror.example"]}`."""

    certificates: AbsolutePath = "/etc/seaway/certs.d"
    """A directory with one directory per registry: `ca.crt`, and `client.cert` with `client.key`."""

    proxy: str = ""
    """The URL of an HTTP proxy for registries that aren't on loopback; empty for none."""

    downloads: Count = 3
    """How many layers are downloaded at the same time."""

    unpackers: CountFromZero = 0
    """How many layers are unpacked at the same time; 0 means one per processor."""

    attempts: Count = 5
    """How often a download that breaks off is taken up again."""

    connect_seconds: Seconds = 10.0
    """How long a registry may take to accept a connection."""

    read_seconds: Seconds = 60.0
    """How long a registry may be silent in the middle of an answer."""

    layer_entries: Count = 10_000_000
    """The most files of one layer."""

    layer_bytes: Bytes = 1 << 40
    """The most bytes of one layer, unpacked."""

    kept_seconds: Seconds = 24 * 3600.0
    """How long what was downloaded for a pull that failed is kept, so that the next one needn't fetch it again."""
