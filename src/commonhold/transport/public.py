"""A certificate that anybody's programs can verify, of a server that has a name in the world. Optional.

Computers of the network do not need it: they know one another's keys. It is for people who come without
one, whose browser or file manager would otherwise warn of a certificate that nobody vouches for.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from commonhold.errors import NotFound, WrongUsage
from commonhold.transport.tls import public_context

LARGEST = 2**20  # bytes of a file that holds a chain or a key


class PublicCertificate(msgspec.Struct, frozen=True):
    """A chain and its key that `read` has checked. `names` are the DNS names it is for, in small letters."""

    names: frozenset[str]
    ends: datetime
    pem: bytes

    @classmethod
    def read(cls, certificate: Path, key: Path, now: datetime) -> Self:
        """From two PEM files. Raises NotFound, and WrongUsage for what could not be shown to anybody."""
        chain = _chain(certificate)
        private = _private_key(key)
        leaf = chain[0]
        if leaf.public_key() != private.public_key():
            raise WrongUsage(f"The key in {key} is not the one of the certificate in {certificate}.", "name both anew")
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            early = now < leaf.not_valid_before_utc
            term = (
                f"begins on {leaf.not_valid_before_utc:%Y-%m-%d}"
                if early
                else f"ended on {leaf.not_valid_after_utc:%Y-%m-%d}"
            )
            raise WrongUsage(f"The certificate in {certificate} {term}.", "get it renewed, or set the clock")
        names = _names(leaf)
        if not names:
            raise WrongUsage(f"The certificate in {certificate} is for no server's name.", "it needs a DNS name")
        pem = b"".join(
            [
                private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
                *(each.public_bytes(Encoding.PEM) for each in chain),
            ]
        )
        try:
            public_context(pem)
        except ssl.SSLError as error:
            raise WrongUsage(
                f"The certificate in {certificate} is of no use: {error.reason}.", "get another"
            ) from error
        return cls(names, leaf.not_valid_after_utc, pem)

    def is_for(self, name: str | None) -> bool:
        """Whether to show it to a client that asks for this server. `*` stands for one label (RFC 6125, 6.4.3)."""
        if not name:
            return False
        asked = name.lower().rstrip(".")
        return asked in self.names or f"*.{asked.partition('.')[2]}" in self.names


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(path))
    except ValueError as error:
        raise WrongUsage(f"{path} holds no certificate.", "a PEM file: the server's certificate first") from error


def _private_key(path: Path) -> PrivateKeyTypes:
    content = _content(path)
    try:
        return load_pem_private_key(content, None)
    except TypeError as error:
        raise WrongUsage(f"The key in {path} is locked with a passphrase.", "give one without: openssl pkey") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise WrongUsage(f"{path} holds no private key.", "a PEM file") from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror}.") from error


def _names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    return frozenset(name.lower() for name in found.get_values_for_type(x509.DNSName))
