from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import Refused
from commonhold.identity.envelope import Envelope, pae, sign, signers
from commonhold.identity.keys import Key

KEYS = [Key.generate() for _ in range(3)]
KNOWN = {key.fingerprint: key.spki for key in KEYS}
PAYLOADS, KINDS = st.binary(max_size=100), st.text(max_size=30)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace")))
def test_any_bytes_are_an_envelope_or_refused(document):
    with suppress(Refused):
        assert not signers(Envelope.parse(document), KNOWN)


@given(PAYLOADS, KINDS, st.sets(st.sampled_from(KEYS)))
def test_whoever_signed_is_found_after_the_journey(payload, kind, keys):
    envelope = Envelope.parse(sign(payload, kind, keys).encoded())
    assert signers(envelope, KNOWN) == {key.fingerprint for key in keys}
    assert (envelope.payload, envelope.payload_type) == (payload, kind)


@given(PAYLOADS, KINDS, PAYLOADS, KINDS)
def test_no_two_statements_are_signed_alike(payload, kind, other_payload, other_kind):
    same = (payload, kind) == (other_payload, other_kind)
    assert (pae(kind, payload) == pae(other_kind, other_payload)) == same


@given(PAYLOADS, KINDS, PAYLOADS, KINDS)
def test_a_signature_holds_for_its_statement_only(payload, kind, other_payload, other_kind):
    envelope = sign(payload, kind, KEYS[:1])
    moved = Envelope(other_payload, other_kind, envelope.signatures)
    assert bool(signers(moved, KNOWN)) == ((payload, kind) == (other_payload, other_kind))


@given(PAYLOADS, st.data())
def test_one_changed_bit_of_a_signature_ends_it(payload, data):
    envelope = sign(payload, "kind", KEYS[:1])
    signature = envelope.signatures[0]
    place = data.draw(st.integers(0, 9999)) % len(signature.sig)  # lengths differ from run to run
    sig = bytearray(signature.sig)
    sig[place] ^= 1 << data.draw(st.integers(0, 7))
    changed = Envelope(payload, "kind", (type(signature)(signature.keyid, bytes(sig)),))
    assert not signers(changed, KNOWN)
