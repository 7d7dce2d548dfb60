"""A certificate authority as the world has them, for tests of certificates that people's programs verify."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class WorldAuthority:
    """Signs certificates; `pem` is what clients trust."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "World Authority")])
        builder = self._builder(self._name, self._key, datetime.now(UTC) - 9 * DAY, datetime.now(UTC) + 99 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = self._certificate.public_bytes(Encoding.PEM).decode()

    def _builder(self, subject, key, begins, ends):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )

    def sign(
        self, folder: Path, *names: str, begins: timedelta = -DAY, ends: timedelta = DAY, passphrase: str = ""
    ) -> tuple[Path, Path]:
        """The files fullchain.pem and privkey.pem in `folder`, for these names, from and until so long from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        builder = self._builder(x509.Name([]), key, now + begins, now + ends)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=True
            )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        chain, private = folder / "fullchain.pem", folder / "privkey.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
        chain.write_bytes(certificate.public_bytes(Encoding.PEM) + self.pem.encode())
        return chain, private


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
