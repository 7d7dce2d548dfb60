from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import utils

from commonhold.errors import Refused
from commonhold.identity.code import P256_ORDER
from commonhold.identity.envelope import MOST_SIGNATURES, Envelope, Signature, pae, sign, signers, witnessed
from commonhold.identity.keys import Key

ANN, BEN = Key.generate(), Key.generate()
KNOWN = {key.fingerprint: key.spki for key in (ANN, BEN)}


def test_what_is_signed_is_as_dsse_says():
    """The example of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_envelope_travels_as_the_json_of_dsse():
    envelope = sign(b"{}", "kind+json", [ANN])
    document = msgspec.json.decode(envelope.encoded())
    assert document.keys() == {"payload", "payloadType", "signatures"}
    assert document["payload"] == "e30="
    assert Envelope.parse(envelope.encoded()) == envelope


def test_keys_are_counted_and_not_signatures():
    once = sign(b"{}", "kind", [ANN])
    twice = msgspec.structs.replace(once, signatures=once.signatures + sign(b"{}", "kind", [ANN]).signatures)
    assert len(twice.signatures) == 2
    assert signers(twice, KNOWN) == {ANN.fingerprint}
    assert signers(sign(b"{}", "kind", [ANN, BEN]), KNOWN) == {ANN.fingerprint, BEN.fingerprint}


def test_one_key_under_two_ids_is_one_key():
    envelope = sign(b"{}", "kind", [ANN])
    disguised = Signature("another id", envelope.signatures[0].sig)
    envelope = msgspec.structs.replace(envelope, signatures=(*envelope.signatures, disguised))
    assert signers(envelope, {**KNOWN, "another id": ANN.spki}) == {ANN.fingerprint}


def test_a_statement_of_one_kind_is_none_of_another():
    envelope = sign(b"{}", "kind", [ANN])
    assert not signers(msgspec.structs.replace(envelope, payload_type="other kind"), KNOWN)
    assert not signers(msgspec.structs.replace(envelope, payload=b"{ }"), KNOWN)


def test_the_signature_of_a_stranger_or_under_a_strange_name_counts_nothing():
    envelope = sign(b"{}", "kind", [Key.generate()])
    assert not signers(envelope, KNOWN)
    renamed = Signature(ANN.fingerprint, envelope.signatures[0].sig)
    assert not signers(msgspec.structs.replace(envelope, signatures=(renamed,)), KNOWN)
    huge = Signature(ANN.fingerprint, b"x" * 100_000)
    assert not signers(msgspec.structs.replace(envelope, signatures=(huge,)), KNOWN)


def test_the_twin_of_a_signature_makes_no_second_statement():
    envelope = sign(b"{}", "kind", [ANN])
    r, s = utils.decode_dss_signature(envelope.signatures[0].sig)
    twin = utils.encode_dss_signature(r, P256_ORDER - s)
    other = msgspec.structs.replace(envelope, signatures=(Signature(ANN.fingerprint, twin),))
    assert signers(other, KNOWN) == {ANN.fingerprint}
    assert other.id == envelope.id
    assert witnessed([envelope, other], KNOWN) == witnessed([other, envelope], KNOWN)


def test_signatures_given_apart_come_together_and_rubbish_falls_away():
    half, other = sign(b"{}", "kind", [ANN]), sign(b"{}", "kind", [BEN, Key.generate()])
    whole = witnessed([half, other], KNOWN)
    assert {signature.keyid for signature in whole.signatures} == {ANN.fingerprint, BEN.fingerprint}
    assert witnessed([sign(b"{}", "kind", [Key.generate()])], KNOWN) is None
    assert witnessed([], KNOWN) is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"payload": "e30="}',
        b'{"payload": "!", "payloadType": "kind", "signatures": []}',
        b'{"payload": "e30=", "payloadType": 7, "signatures": []}',
        b'{"payload": "e30=", "payloadType": "kind", "signatures": {"keyid": "a", "sig": ""}}',
        b'{"payload": "' + b"A" * 70_000 + b'", "payloadType": "kind", "signatures": []}',
        b'{"payload": "\\ud800", "payloadType": "kind", "signatures": []}',
    ],
)
def test_what_is_no_envelope_is_refused(document):
    with pytest.raises(Refused):
        Envelope.parse(document)


def test_an_envelope_with_too_many_signatures_is_refused():
    signature = sign(b"{}", "kind", [ANN]).signatures[0]
    with pytest.raises(Refused):
        Envelope.parse(Envelope(b"{}", "kind", (signature,) * (MOST_SIGNATURES + 1)).encoded())
