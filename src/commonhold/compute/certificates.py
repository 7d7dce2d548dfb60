"""A session's own certificate authority: made for it, kept in memory, gone with it.

Its certificates let a process take part in one session's Dask cluster and open nothing else. Whoever
holds one may run anything in that cluster (a Dask cluster is one trust domain), so they go only to
processes in sandboxes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=30)  # a bound; the session's end is what ends them
SKEW = timedelta(days=1)  # clocks of other computers may be behind


class Papers(NamedTuple):
    """PEM: the authority, and one participant's certificate and key."""

    authority: str
    certificate: str
    key: str


class SessionAuthority:
    def __init__(self, session: str, now: datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(session)
        usage = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = self._draft(self._name, self._key).add_extension(usage, critical=True)
        self._signed = self._certificate.sign(self._key, hashes.SHA256())

    def issue(self, participant: str) -> Papers:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.BasicConstraints(ca=False, path_length=None)
        draft = self._draft(_name(participant), key).add_extension(usage, critical=True)
        return Papers(_pem(self._signed), _pem(draft.sign(self._key, hashes.SHA256())), _key_pem(key))

    def _draft(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - SKEW)
            .not_valid_after(self._now + LIFE)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
