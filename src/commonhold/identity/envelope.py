"""Signed statements: DSSE envelopes (github.com/secure-systems-lab/dsse, protocol.md 1.0). Pure.

What is signed is the pre-authentication encoding of payload *and* type, so that a statement of one
kind never passes for another. An envelope is known by the hash of what is signed and never by its
signatures: an ECDSA signature (r, s) has a twin (r, n-s) that verifies as well. securesystemslib
was the other way; it counts key ids, so one key under two ids met a threshold of two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from commonhold.errors import Refused
from commonhold.identity.keys import Key, fingerprint_of, verify_digest
from commonhold.names import Fingerprint

MOST_SIGNATURES = 32
LONGEST_SIGNATURE = 80  # bytes; a DER signature of P-256 has at most 72


class Signature(msgspec.Struct, frozen=True):
    """`keyid` is the signer's fingerprint: a hint where to look, which proves nothing."""

    keyid: str
    sig: bytes


class Envelope(msgspec.Struct, frozen=True):
    """A payload, its type, and who signed both. On the wire: DSSE's JSON."""

    payload: bytes
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, document: bytes, largest: int = 65_536) -> Envelope:
        """From JSON of at most `largest` bytes. Raises Refused for whatever is no envelope."""
        try:
            if len(document) > largest:
                raise ValueError("too large")
            envelope = msgspec.json.decode(document, type=cls)
        except ValueError as error:  # msgspec's errors and UnicodeDecodeError are kinds of it
            raise Refused("That is no signed statement.") from error
        if len(envelope.signatures) > MOST_SIGNATURES:
            raise Refused(f"That statement has more than {MOST_SIGNATURES} signatures.")
        return envelope

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what is signed."""
        return hashlib.sha256(pae(self.payload_type, self.payload)).digest()

    @property
    def id(self) -> str:
        return self.digest.hex()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = payload_type.encode(errors="surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, keys: Iterable[Key]) -> Envelope:
    message = pae(payload_type, payload)
    return Envelope(payload, payload_type, tuple(Signature(str(key.fingerprint), key.sign(message)) for key in keys))


def proven(envelope: Envelope, known: Mapping[Fingerprint, bytes]) -> dict[Fingerprint, Signature]:
    """The signatures that hold, one for each *key* of `known` (fingerprint: SPKI)."""
    found: dict[Fingerprint, Signature] = {}
    digest = envelope.digest
    for signature in sorted(envelope.signatures[:MOST_SIGNATURES], key=lambda each: each.sig):
        spki = known.get(signature.keyid)  # type: ignore[call-overload] # any text may be asked for
        if spki is None or len(signature.sig) > LONGEST_SIGNATURE:
            continue
        if verify_digest(spki, digest, signature.sig):
            found.setdefault(fingerprint_of(spki), signature)
    return found


def signers(envelope: Envelope, known: Mapping[Fingerprint, bytes]) -> frozenset[Fingerprint]:
    """Who of `known` signed this envelope."""
    return frozenset(proven(envelope, known))


def witnessed(copies: Iterable[Envelope], known: Mapping[Fingerprint, bytes]) -> Envelope | None:
    """One envelope from copies of one statement, with one signature of each key that holds; None without any."""
    found: dict[Fingerprint, Signature] = {}
    copy = None
    for copy in copies:
        for fingerprint, signature in proven(copy, known).items():
            if fingerprint not in found or signature.sig < found[fingerprint].sig:
                found[fingerprint] = signature
    if copy is None or not found:
        return None  # the last copy stands for all below: they differ in signatures only
    return Envelope(copy.payload, copy.payload_type, tuple(found[fingerprint] for fingerprint in sorted(found)))
