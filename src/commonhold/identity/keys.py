"""A computer's key: made on first start, kept in one file with mode 0600, never leaving it."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Self, final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from commonhold.errors import Conflict, Damaged
from commonhold.names import Fingerprint

# P-256 and not Ed25519: the same key shows itself to browsers, which know no other curve of ours.
ECDSA = ec.ECDSA(hashes.SHA256())
ECDSA_OF_DIGEST = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
LARGEST_FILE = 16 * 1024  # bytes; a PKCS #8 PEM of P-256 has 241


@final
class Key:
    """An ECDSA key on P-256 (FIPS 186-5)."""

    __slots__ = ("_private", "fingerprint", "spki")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.fingerprint = fingerprint_of(self.spki)

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in this file. Raises Damaged when the file is missing, unreadable or holds no P-256 key."""
        hint = "restore the file from a backup, or start over with a new home"
        try:
            with path.open("rb") as file:
                private = serialization.load_pem_private_key(file.read(LARGEST_FILE), password=None)
        except OSError as error:
            raise Damaged(f"The key of this computer cannot be read from {path}: {error.strerror}.", hint) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Damaged(f"{path} holds no key that can be read.", hint) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise Damaged(f"{path} holds a key of another kind: Commonhold's are ECDSA on P-256.", hint)
        return cls(private)

    def save(self, path: Path) -> None:
        """Write a new file with mode 0600, durable when this returns.

        Written beside and renamed, so that a power cut leaves no half key. Raises Conflict when
        the file exists: a key is never overwritten.
        """
        if path.exists():
            raise Conflict(f"{path} holds a key already.")
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.pem())
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, message: bytes) -> bytes:
        """A DER signature, ECDSA with SHA-256."""
        return self._private.sign(message, ECDSA)

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """For the one other signer, identity/certificate.py."""
        return self._private

    def __repr__(self) -> str:
        return f"Key({self.fingerprint[:16]}…)"


def fingerprint_of(spki: bytes) -> Fingerprint:
    return Fingerprint(hashlib.sha256(spki).hexdigest())


@functools.lru_cache(maxsize=1024)  # a roster verifies hundreds of signatures of a few guards
def public_key(spki: bytes) -> ec.EllipticCurvePublicKey | None:
    """The P-256 key in this DER SubjectPublicKeyInfo, if that is what it is, and in the one form we write.

    A compressed point would give the same key a second fingerprint, so it is none.
    """
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return None
    written = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key if written == spki else None


def verify(spki: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this key signed this message; anything malformed is no signature."""
    return verify_digest(spki, hashlib.sha256(message).digest(), signature)


@functools.lru_cache(
    maxsize=16_384
)  # about 6 MB: a roster is built anew with every fact, a signature stays what it was
def verify_digest(spki: bytes, digest: bytes, signature: bytes) -> bool:
    """`verify`, where the message's SHA-256 is known already."""
    key = public_key(spki)
    if key is None:
        return False
    try:
        key.verify(signature, digest, ECDSA_OF_DIGEST)
    except InvalidSignature:
        return False
    return True
