"""Certificates: one for 127.0.0.1 that signs itself, and those of an authority of our own."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate and of its key, good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    place = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "host.pem", folder / "host.key"
    certificate_file.write_bytes(_pem(certificate))
    key_file.write_bytes(_pem_of_key(key))
    return certificate_file, key_file


@dataclass(frozen=True, kw_only=True)
class Issued:
    """The files of a certificate, with the intermediates that belong to it, and of its key."""

    certificate: Path
    key: Path


class Authority:
    """A root and an intermediate below it, as a public authority has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        root_key, self._key = _new_key(), _new_key()
        root = _signed("test root", root_key, "test root", root_key, authority=True)
        self._intermediate = _signed("test 1", self._key, "test root", root_key, authority=True)
        #: The file of the root.
        self.root = folder / "root.pem"
        self.root.write_bytes(_pem(root))

    def issue(self, host: str) -> Issued:
        """A certificate for a host, its file with the intermediate and without the root."""
        key = _new_key()
        leaf = _signed(host, key, "test 1", self._key, authority=False)
        return self._written(key, _pem(leaf) + _pem(self._intermediate))

    def self_signed(self, host: str) -> Issued:
        """One that nobody else vouches for."""
        key = _new_key()
        return self._written(key, _pem(_signed(host, key, host, key, authority=False)))

    def _written(self, key: ec.EllipticCurvePrivateKey, chain: bytes) -> Issued:
        self._count += 1
        issued = Issued(
            certificate=self._folder / f"{self._count}.pem", key=self._folder / f"{self._count}.key"
        )
        issued.certificate.write_bytes(chain)
        issued.key.write_bytes(_pem_of_key(key))
        return issued


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _signed(
    host: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issued_by, critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_place(host)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _place(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
