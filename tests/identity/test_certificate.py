"""What may become an anchor of TLS, and what may not."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from commonhold.errors import Refused
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.keys import Key

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Key.generate()
SHA256 = hashes.SHA256()
NOT_CA = x509.BasicConstraints(ca=False, path_length=None)


def named(*texts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts])


def made(*, subject=None, issuer=None, key=None, signer=None, constraints=NOT_CA, more=(), digest=SHA256) -> bytes:
    """A certificate like ours but for what is given."""
    private = key or KEY.private_key()
    own = named(KEY.fingerprint)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or own)
        .issuer_name(issuer or subject or own)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(NOON)
        .not_valid_after(NOON + timedelta(days=10))
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or private, digest).public_bytes(serialization.Encoding.DER)


def test_a_certificate_of_ours_is_accepted_and_says_whose_it_is():
    certificate = self_signed(KEY, NOON)
    assert Certificate.parse(certificate.der) == certificate
    assert certificate.fingerprint == KEY.fingerprint
    assert certificate.spki == KEY.spki
    read = x509.load_pem_x509_certificate(certificate.pem.encode())
    assert read.not_valid_before_utc == NOON - timedelta(days=1)
    assert read.not_valid_after_utc > NOON + timedelta(days=36_000)
    assert Certificate.parse(made()).fingerprint == KEY.fingerprint


def hostile() -> dict[str, bytes]:
    other = Key.generate()
    p384 = ec.generate_private_key(ec.SECP384R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    own = self_signed(KEY, NOON).der
    return {
        "cannot be read": b"rubbish",
        "cannot be read ": b"",
        "cannot be read  ": own + b"\x00",
        "cannot be read   ": own[:-1],
        "larger than 2048 bytes": made(more=[x509.SubjectAlternativeName([x509.DNSName("a" * 60)] * 40)]),
        "subject is not the fingerprint": made(subject=named(other.fingerprint)),
        "subject is not the fingerprint ": made(subject=named("admin")),
        "subject is not the fingerprint  ": made(subject=named(KEY.fingerprint, KEY.fingerprint)),
        "another has issued it": made(issuer=named(other.fingerprint), signer=other.private_key()),
        "not signed by its own key": made(signer=other.private_key()),
        "vouch for others": made(constraints=x509.BasicConstraints(ca=True, path_length=None)),
        "vouch for others ": made(constraints=None),
        "not on P-256": made(key=p384),
        "not on P-256 ": made(key=edwards, digest=None),
        "extensions that ours do not have": made(more=[x509.OCSPNoCheck()]),
        "not signed with SHA-256": made(digest=hashes.SHA512()),
    }


@pytest.mark.parametrize(("reason", "der"), hostile().items())
def test_a_hostile_certificate_is_refused_with_the_reason(reason, der):
    with pytest.raises(Refused, match=reason.strip()):
        Certificate.parse(der)


def test_a_certificate_with_a_changed_byte_is_refused():
    der = self_signed(KEY, NOON).der
    for place in range(0, len(der), 7):
        changed = der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :]
        with pytest.raises(Refused):
            Certificate.parse(changed)


def test_two_computers_know_each_other_by_certificates_alone(tmp_path):
    contexts = {}
    keys = {"tower": Key.generate(), "laptop": Key.generate()}
    certificates = {name: self_signed(key, datetime.now(UTC)) for name, key in keys.items()}
    for name, kind, other in (
        ("tower", ssl.PROTOCOL_TLS_SERVER, "laptop"),
        ("laptop", ssl.PROTOCOL_TLS_CLIENT, "tower"),
    ):
        (tmp_path / name).write_bytes(keys[name].pem() + certificates[name].pem.encode())
        context = contexts[name] = ssl.SSLContext(kind)
        context.load_cert_chain(tmp_path / name)
        context.load_verify_locations(cadata=certificates[other].pem)
        context.verify_mode = ssl.CERT_REQUIRED
    near, far = socket.socketpair()
    seen = []

    def serve() -> None:
        with contexts["tower"].wrap_socket(near, server_side=True) as secure:
            seen.append(Certificate.parse(secure.getpeercert(True)).fingerprint)
            secure.sendall(b"hello")

    serving = threading.Thread(target=serve)
    serving.start()
    with contexts["laptop"].wrap_socket(far, server_hostname="commonhold") as secure:
        assert secure.recv(5) == b"hello"
        assert Certificate.parse(secure.getpeercert(True)).fingerprint == keys["tower"].fingerprint
    serving.join()
    assert seen == [keys["laptop"].fingerprint]
