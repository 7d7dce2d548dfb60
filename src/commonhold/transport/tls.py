"""The TLS contexts, and whose certificate a connection showed. No other file builds a context.

A computer's own self-signed certificate is the trust anchor for it, so that OpenSSL's ordinary
verification pins its key, and names and dates decide nothing.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from commonhold.errors import Refused
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint

# X509_V_FLAG_NO_CHECK_TIME (OpenSSL, x509_vfy.h), for which Python has no name. Identities do not expire: a
# computer without a clock battery wakes up in 1970 and is still a member.
NO_CHECK_TIME = 0x200000
AT_ONCE = 20  # anchors; 0.2 ms each


def listening_context(key: Key, certificate: Certificate, anchors: Iterable[Certificate] = ()) -> ssl.SSLContext:
    """For a door: a stranger's certificate fails the handshake, none at all is let through.

    About 0.2 ms for each anchor (8 ms for 50, 104 ms for 500): build it in a thread.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_key(context, key, certificate)
    _load_anchors(context, anchors)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would walk around a removal
    context.options |= ssl.OP_NO_TICKET
    return context


def public_context(pem: bytes) -> ssl.SSLContext:
    """For people's programs: shows this chain, and trusts nobody's certificate. Raises ssl.SSLError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_pem(context, pem)
    return context


def calling_context(key: Key, certificate: Certificate, peer: Certificate) -> ssl.SSLContext:
    """For asking one computer: nobody but the holder of that certificate's key completes the handshake."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    _load_key(context, key, certificate)
    _load_anchors(context, [peer])
    return context


def knocking_context(showing: tuple[Key, Certificate] | None = None) -> ssl.SSLContext:
    """For a newcomer, who has nothing to verify with: the code does it later, over the key that was shown here."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if showing is not None:
        _load_key(context, *showing)
    return context


def shown_certificate(ssl_object: Any) -> Certificate | None:
    """The certificate that the other end of this connection showed; raises Refused when it is none of ours."""
    der = ssl_object.getpeercert(True) if ssl_object is not None else None
    return Certificate.parse(der) if der else None


def fingerprint_shown(ssl_object: Any) -> Fingerprint | None:
    """Who is at the other end, once TLS has verified it."""
    try:
        certificate = shown_certificate(ssl_object)
    except Refused:
        return None
    return certificate.fingerprint if certificate else None


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= NO_CHECK_TIME
    return context


def _load_anchors(context: ssl.SSLContext, anchors: Iterable[Certificate]) -> None:
    """A few at a time: each call keeps every other thread of Python waiting until it is done."""
    ders = sorted({anchor.der for anchor in anchors})
    for start in range(0, len(ders), AT_ONCE):
        context.load_verify_locations(cadata=b"".join(ders[start : start + AT_ONCE]))


def _load_key(context: ssl.SSLContext, key: Key, certificate: Certificate) -> None:
    _load_pem(context, key.pem() + certificate.pem.encode())


def _load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Hand a key with its certificates to OpenSSL, which takes it from a file only.

    The home may hold the key without the certificate beside it, and contexts are built where no
    home is known, so both are written together to memory that has a path (memfd). Where there is
    none, a file of mode 0600 lives for the moment of reading.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("commonhold")
        try:
            os.write(descriptor, pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    descriptor, path = tempfile.mkstemp()
    try:
        os.write(descriptor, pem)
        os.close(descriptor)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
