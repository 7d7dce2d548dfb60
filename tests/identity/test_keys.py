from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from commonhold.errors import Conflict, Damaged
from commonhold.identity.keys import Key, fingerprint_of, public_key, verify


def test_a_saved_key_is_the_same_key_when_loaded_and_nobody_else_may_read_it(tmp_path):
    key = Key.generate()
    path = tmp_path / "key.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Key.load(path).fingerprint == key.fingerprint == fingerprint_of(key.spki)
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]


def test_a_key_is_never_overwritten_and_a_half_written_one_does_not_stand_in_the_way(tmp_path):
    path = tmp_path / "key.pem"
    (tmp_path / "key.pem.new").write_bytes(b"half")
    Key.generate().save(path)
    before = path.read_bytes()
    with pytest.raises(Conflict):
        Key.generate().save(path)
    assert path.read_bytes() == before


def other_kinds() -> list[bytes]:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    locked = (*form[:2], serialization.BestAvailableEncryption(b"secret"))
    return [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n",
        ed25519.Ed25519PrivateKey.generate().private_bytes(*form),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(*form),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(*locked),
    ]


@pytest.mark.parametrize("content", other_kinds())
def test_a_file_that_holds_no_key_of_ours_is_damaged(tmp_path, content):
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(Damaged):
        Key.load(tmp_path / "key.pem")


def test_a_missing_file_is_damaged(tmp_path):
    with pytest.raises(Damaged, match="No such file"):
        Key.load(tmp_path / "key.pem")


def test_a_signature_holds_for_its_message_and_its_key_only():
    key, other = Key.generate(), Key.generate()
    signature = key.sign(b"photos")
    assert verify(key.spki, b"photos", signature)
    assert not verify(key.spki, b"music", signature)
    assert not verify(other.spki, b"photos", signature)
    assert not verify(key.spki, b"photos", signature[:-1])
    assert not verify(key.spki, b"photos", b"")
    assert not verify(b"no key", b"photos", signature)


def test_a_key_in_another_form_or_on_another_curve_is_no_key():
    private = ec.generate_private_key(ec.SECP256R1())
    spki = Key(private).spki
    compressed = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    # SEQUENCE { the same algorithm, BIT STRING of the compressed point }
    body = spki[2:23] + b"\x03\x22\x00" + compressed
    short = b"\x30" + bytes([len(body)]) + body
    assert serialization.load_der_public_key(short)  # OpenSSL reads it: one key, two fingerprints
    assert public_key(short) is None
    assert public_key(spki) is not None
    p384 = (
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert public_key(p384) is None


def test_a_key_shows_no_secret_when_printed():
    key = Key.generate()
    assert repr(key) == f"Key({key.fingerprint[:16]}…)"
