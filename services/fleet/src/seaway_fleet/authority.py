"""What the hub's keys are for: the credentials and certificates of hosts. `seaway_bus.hub.HubKeys` has them."""

from __future__ import annotations

from typing import Protocol


class Authority(Protocol):
    """Issues on behalf of the fleet. Times are Unix seconds; keys are public nkeys; certificates are PEM."""

    @property
    def fleet(self) -> str:
        """The fleet's name."""

    @property
    def certificate(self) -> str:
        """The certificate authority's own."""

    @property
    def release(self) -> str:
        """The public key that signs releases."""

    def leaf(self, node: str, role: str, key: str, expires: int, *, hub: bool) -> str:
        """A host's token at the hub."""

    def joiner(self, name: str, expires: int) -> str:
        """A credential for who may ask to join, and nothing else; as a `.creds` text."""

    def host_certificate(self, request: str, node: str, address: str, expires: int) -> str:
        """A host's certificate, for its PEM request. Raises InvalidArgument."""

    def export(self) -> bytes:
        """The hub's keys, for another host that is to be a hub."""
