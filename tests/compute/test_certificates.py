"""A session's own authority, checked by real TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from commonhold.compute.certificates import LIFE, Papers, SessionAuthority

NOW = datetime.now(UTC)


def context(papers: Papers, folder: Path, side: int) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=papers.authority)
    place = folder / f"{hash(papers)}.pem"
    place.write_text(papers.certificate + papers.key)
    made.load_cert_chain(place)
    return made


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Both sides of a handshake in memory; returns the server's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0]


def test_participants_of_one_session_know_each_other_by_name(tmp_path: Path):
    session = SessionAuthority("0" * 32, NOW)
    server = context(session.issue("p0"), tmp_path, ssl.PROTOCOL_TLS_SERVER)
    client = context(session.issue("p1"), tmp_path, ssl.PROTOCOL_TLS_CLIENT)
    shown = shaken(server, client).getpeercert()
    assert shown is not None
    assert shown["subject"] == ((("commonName", "p1"),),)


def test_a_certificate_of_another_session_opens_nothing(tmp_path: Path):
    server = context(SessionAuthority("0" * 32, NOW).issue("p0"), tmp_path, ssl.PROTOCOL_TLS_SERVER)
    other = SessionAuthority("0" * 32, NOW).issue("p1")  # of the same name, even
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(server, context(other, tmp_path, ssl.PROTOCOL_TLS_CLIENT))


def test_a_participant_can_make_no_further_ones():
    papers = SessionAuthority("0" * 32, NOW).issue("p1")
    certificate = x509.load_pem_x509_certificate(papers.certificate.encode())
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.not_valid_after_utc - NOW <= LIFE
