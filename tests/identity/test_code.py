from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from commonhold.errors import WrongUsage
from commonhold.identity.code import Code, LongCode, code_of, four_words, recovery_key, recovery_words, split_address
from commonhold.identity.keys import Key


def test_a_code_is_a_number_and_two_words():
    code = Code.draw(7, bytes)
    assert str(code) == "7-abandon-abandon"
    assert str(Code.draw(99, lambda size: b"\xff" * size)) == "99-zoo-zoo"


def test_a_code_is_understood_as_people_type_it():
    code = Code(7, ("orange", "plate"))
    for typed in ("7-orange-plate", "7-Orange-PLATE", " 7 orange plate\n", "07-orange-plate", "7 - orange - plate"):
        assert Code.parse(typed) == code
    assert Code.parse(str(code)) == code


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "looks like"),
        ("7", "looks like"),
        ("7-orange", "looks like"),
        ("0-orange-plate", "looks like"),
        ("100-orange-plate", "looks like"),
        ("7-orange-plate-zoo-zoo", "looks like"),
        ("-7-orange-plate", "looks like"),
        ("\u0667-orange-plate", "looks like"),
        ("7-orange-xyzzy", "“xyzzy” is no word"),
        ("7-orange-pl\u200bate", "looks like"),
    ],
)
def test_what_is_no_code_gets_a_clear_sentence(typed, sentence):
    with pytest.raises(WrongUsage, match=sentence):
        Code.parse(typed)


def test_after_guesses_a_code_has_three_words():
    code = Code.draw(7, lambda size: bytes(range(100, 100 + size)), words=3)
    assert len(code.words) == 3
    assert Code.parse(str(code).upper()) == code
    assert str(Code.draw(7, lambda size: b"\xff" * size, words=3)) == "7-zoo-zoo-zoo"


@pytest.mark.parametrize(
    ("typed", "meant"), [("orenge", "did you mean “orange”?"), ("plat", "did you mean “plate”?"), ("xyzzy", "type it")]
)
def test_a_word_typed_wrong_gets_the_nearest_one(typed, meant):
    with pytest.raises(WrongUsage, match=f"“{typed}” is no word") as caught:
        Code.parse(f"7-{typed}-zoo")
    assert caught.value.hint.startswith(meant)


def test_a_files_code_is_read_again_and_is_never_taken_for_words():
    code = LongCode.draw(4711, lambda size: bytes(range(size)))
    assert code_of(str(code)) == code
    assert len(code.secret) == 64
    assert code_of("7-orange-plate") == Code(7, ("orange", "plate"))
    for wrong in (f"0999-{code.secret}", f"4711-{code.secret[:-1]}", f"4711-{code.secret.upper()}", ""):
        with pytest.raises(WrongUsage):
            LongCode.parse(wrong)
    with pytest.raises(WrongUsage):
        Code.parse(str(code))


def test_an_address_may_follow_the_code():
    assert split_address("7-orange-plate") == ("7-orange-plate", None)
    assert split_address("7-orange-plate@tower.local:7440") == ("7-orange-plate", "tower.local:7440")
    assert split_address("7-orange-plate@[fd00::1]:7440") == ("7-orange-plate", "[fd00::1]:7440")
    assert split_address("7-orange-plate@") == ("7-orange-plate", "")


def test_a_fingerprint_reads_as_four_words():
    assert four_words("0" * 64) == "abandon-abandon-abandon-abandon"
    assert four_words("f" * 64) == "zoo-zoo-zoo-zoo"
    key = Key.generate()
    assert re.fullmatch(r"[a-z]+(-[a-z]+){3}", four_words(key.fingerprint))


def test_the_recovery_words_are_those_of_bip39():
    """From BIP-39's test vectors."""
    assert recovery_words(bytes.fromhex("7f" * 16)) == (
        "legal winner thank year wave sausage worth useful legal winner thank yellow"
    )


def test_the_same_words_are_the_same_key_and_other_words_another():
    words = recovery_words(bytes(range(16)))
    key = recovery_key(words)
    assert key.fingerprint == recovery_key(f"  {words.upper()} ").fingerprint
    assert key.fingerprint != recovery_key(recovery_words(bytes(16))).fingerprint
    assert isinstance(key.private_key().curve, ec.SECP256R1)


def test_the_recovery_key_stays_what_it_is_from_version_to_version():
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    assert recovery_key(words).fingerprint == "78392ffaeab1a0aa21286346325fd0606671de34f3bdbb4aba15a54009f64d7d"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("legal winner", "these are 2"),
        ("legal winner thank year wave sausage worth useful legal winner thank thank", "one is wrong"),
        ("winner legal thank year wave sausage worth useful legal winner thank yellow", "one is wrong"),
        ("legal winner thank year wave sausage worth useful legal winner thank xyzzy", "“xyzzy” is no word"),
    ],
)
def test_a_mistyped_recovery_key_is_noticed(words, sentence):
    with pytest.raises(WrongUsage, match=sentence):
        recovery_key(words)
    with pytest.raises(ValueError, match="16 bytes"):
        recovery_words(b"short")
