"""The certificate that a computer shows in TLS: self-signed, about its own key and nothing else. Pure.

Its subject and issuer are the computer's fingerprint. OpenSSL looks anchors up by subject, so of
two with one subject only the first authenticates: a member who could choose its subject could shut
another one out. Hence `Certificate.parse` stands before every certificate that becomes an anchor.
"""

from __future__ import annotations

import functools
import hashlib
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from commonhold.errors import Refused
from commonhold.identity.keys import Key, fingerprint_of, public_key
from commonhold.names import Fingerprint

LARGEST = 2048  # bytes of DER; ours have about 530
LIFE = timedelta(days=36_525)  # identity does not expire: what ends it is a removal
SERVER_NAME = "commonhold"  # what every computer is called in TLS; who it is, the key says

OUR_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


class Certificate(msgspec.Struct, frozen=True):
    """An X.509 certificate that `parse` has checked or `self_signed` has made."""

    der: bytes

    @classmethod
    def parse(cls, der: bytes) -> Certificate:
        """Check a certificate from outside. Raises Refused, naming what is wrong with it."""
        if trouble := f"it is larger than {LARGEST} bytes" if len(der) > LARGEST else _trouble(der):
            raise Refused(f"This certificate is not one of a computer of Commonhold: {trouble}.")
        return cls(der)

    @property
    def spki(self) -> bytes:
        """The public key, a DER SubjectPublicKeyInfo."""
        return _spki(self.der)

    @property
    def fingerprint(self) -> Fingerprint:
        return fingerprint_of(self.spki)

    @property
    def pem(self) -> str:
        return x509.load_der_x509_certificate(self.der).public_bytes(serialization.Encoding.PEM).decode()


def _spki_written(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@functools.lru_cache(maxsize=4096)
def _spki(der: bytes) -> bytes:
    """Asked at every request: parsed once for each certificate."""
    return _spki_written(x509.load_der_x509_certificate(der))


@functools.lru_cache(maxsize=4096)
def _trouble(der: bytes) -> str:
    """The rule that a certificate breaks, or nothing. Kept: a roster is built anew with every fact."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        spki = _spki_written(certificate)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fingerprint_of(spki))])
        extensions = {extension.oid: extension.value for extension in certificate.extensions}
        constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
        rules = (
            (public_key(spki) is None, "its key is not on P-256"),
            # The point of the key inside may be written in another form; that would be a second certificate of one key.
            (spki not in certificate.tbs_certificate_bytes, "its key is written in an unusual form"),
            (certificate.subject != certificate.issuer, "another has issued it"),
            (certificate.subject != subject, "its subject is not the fingerprint of its key"),
            (not isinstance(constraints, x509.BasicConstraints) or constraints.ca, "it would vouch for others"),
            (not OUR_EXTENSIONS.issuperset(extensions), "it has extensions that ours do not have"),
            (not isinstance(certificate.signature_hash_algorithm, hashes.SHA256), "it is not signed with SHA-256"),
        )
        trouble = next((sentence for broken, sentence in rules if broken), "")
        if not trouble:
            certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return "it is not signed by its own key"
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "it cannot be read"
    return trouble


def self_signed(key: Key, now: datetime) -> Certificate:
    """A certificate for this computer, valid from yesterday (clocks differ) for a hundred years."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key.fingerprint)])
    start = now - timedelta(days=1)
    serial = hashlib.sha256(f"{key.fingerprint} {start.isoformat()}".encode()).digest()[:16]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private_key().public_key())
        .serial_number(int.from_bytes(serial) | 1)  # never zero (RFC 5280, 4.1.2.2)
        .not_valid_before(start)
        .not_valid_after(start + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(both_ends, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .sign(key.private_key(), hashes.SHA256())
    )
    return Certificate(certificate.public_bytes(serialization.Encoding.DER))
