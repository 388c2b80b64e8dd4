"""The certificates of a fleet: its own authority, and what that issues to hosts. Nothing else trusts it.

P-256 keys and X.509 version 3 (RFC 5280). For whoever keeps a hub; needs the extra `hub` (cryptography): the standard
library makes no certificates.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from seaway_protocol.enrolment import HOST_UNIT
from seaway_protocol.errors import InvalidArgument

from seaway_bus.hub_address import host_of

_YEARS = 20

_EARLY = timedelta(days=1)
"""Certificates are good from a day ago: another host's clock may be behind."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate and its key, both PEM."""

    certificate: str
    key: str


def new_authority(fleet: str) -> Authority:
    """A fleet's authority, good for twenty years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = _name(f"{fleet} fleet"), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _secret(key))


def new_request(node: str) -> tuple[str, str]:
    """A new key, and the request for its certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(node)).sign(key, hashes.SHA256())
    return _secret(key), request.public_bytes(serialization.Encoding.PEM).decode()


def issue(authority: Authority, request: str, node: str, address: str, expires: int) -> str:
    """A certificate (PEM) for a request's key, to a host called `node` and reached at `address`, `host[:port]`.

    `expires` is a Unix time. Nothing but its key is taken from the request. Raises InvalidArgument where it isn't one
    that is signed with a P-256 key of its own.
    """
    try:
        asked = x509.load_pem_x509_csr(request.encode())
        valid = asked.is_signature_valid
    except ValueError:
        raise InvalidArgument(f"cannot certify {node}: it has sent no certificate request") from None
    public = asked.public_key()
    if not valid or not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise InvalidArgument(f"cannot certify {node}: its request isn't signed with a P-256 key of its own")
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    key = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder(issuer.subject, _name(node, HOST_UNIT), public, x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _EARLY)
        .not_valid_after(datetime.fromtimestamp(expires, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(_names(node, address)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate)


def _names(node: str, address: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(node.replace("_", "-"))]
    host = host_of(address)
    if host:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _name(text: str, unit: str = "") -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _secret(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
