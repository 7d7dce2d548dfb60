from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from commonhold.errors import WrongUsage
from commonhold.identity.code import NUMBERS, Code, four_words, recovery_key, recovery_words, split_address

WORDS = Mnemonic("english").wordlist


@given(
    number=st.sampled_from(NUMBERS),
    drawn=st.binary(min_size=6, max_size=6),
    words=st.sampled_from((2, 3)),
    capital=st.booleans(),
)
def test_every_code_is_understood_again(number, drawn, words, capital):
    code = Code.draw(number, lambda size: drawn[:size], words)
    assert len(code.words) == words
    typed = str(code).upper() if capital else str(code)
    assert Code.parse(typed) == code
    assert split_address(f"{typed}@tower:7440") == (typed, "tower:7440")


@given(st.text())
def test_any_text_is_a_code_or_wrong_usage(text):
    with suppress(WrongUsage):
        assert Code.parse(text).number in NUMBERS


@given(st.binary(min_size=16, max_size=16), st.integers(0, 11), st.integers(1, 2047))
def test_one_wrong_word_never_gives_the_same_recovery_key(entropy, place, step):
    words = recovery_words(entropy).split()
    changed = list(words)
    changed[place] = WORDS[(WORDS.index(words[place]) + step) % 2048]
    key = recovery_key(" ".join(words))
    with suppress(WrongUsage):  # fifteen in sixteen fail the checksum
        assert recovery_key(" ".join(changed)).fingerprint != key.fingerprint


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_four_words_name_the_first_44_bits(fingerprint):
    words = four_words(fingerprint).split("-")
    value = 0
    for word in words:
        value = value * 2048 + WORDS.index(word)
    assert f"{value:011x}" == fingerprint[:11]


@given(st.lists(st.text(max_size=12), max_size=14))
def test_any_words_are_a_recovery_key_or_wrong_usage(words):
    with pytest.raises(WrongUsage):
        recovery_key(" ".join(words))
