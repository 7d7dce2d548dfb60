"""Words that people say and type: codes to join with, fingerprints to compare, recovery keys. Pure.

The words are BIP-39's English ones: 2048, each told from the others by its first four letters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Self, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from mnemonic import Mnemonic

from commonhold.errors import WrongUsage
from commonhold.identity.keys import Key

BITS = 11  # of one word: the list has 2048
CODE_WORDS = 2  # 22 bits: three tries of an online guesser hit once in 1.4 million
MORE_WORDS = 3  # 33 bits, once somebody has guessed: three tries hit once in 2.9 thousand million
NUMBERS = range(1, 100)
LONG_NUMBERS = range(1000, 10_000)  # of codes that a file carries
LONG_BYTES = 32
RECOVERY_BYTES = 16  # of entropy: twelve words, of which the last holds four bits of checksum
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SEC 2, 2.4.2

_FORM = re.compile(r"([0-9]{1,2})((?:-[a-z]+){2,3})")
_LONG_FORM = re.compile(r"([0-9]{4})-([0-9a-f]{64})")


@cache
def _dictionary() -> Mnemonic:
    return Mnemonic("english")


@cache
def _known() -> frozenset[str]:
    return frozenset(_dictionary().wordlist)


def _words(value: int, count: int) -> tuple[str, ...]:
    """The lowest `count` times 11 bits of `value`, as words, highest first."""
    words = _dictionary().wordlist
    return tuple(words[value >> BITS * place & len(words) - 1] for place in reversed(range(count)))


class Code(NamedTuple):
    """`7-orange-velvet`: the number says which invitation is meant, the words (two or three) are the secret."""

    number: int
    words: tuple[str, ...]

    @classmethod
    def draw(cls, number: int, random_bytes: Callable[[int], bytes], words: int = CODE_WORDS) -> Self:
        """A new code; `random_bytes(n)` gives n random bytes."""
        return cls(number, _words(int.from_bytes(random_bytes(2 * words)), words))

    @classmethod
    def parse(cls, text: str) -> Self:
        """As somebody typed it: capitals and spaces do not matter. Raises WrongUsage."""
        found = _FORM.fullmatch("-".join(re.split(r"[\s-]+", text.strip().casefold())))
        if found is None or int(found[1]) not in NUMBERS:
            raise WrongUsage(
                "That is no code: one looks like 7-orange-velvet.", "type it as the other computer shows it"
            )
        words = tuple(found[2].removeprefix("-").split("-"))
        for word in words:
            if word not in _known():
                raise WrongUsage(f"“{word[:20]}” is no word of a code.", _meant(word))
        return cls(int(found[1]), words)

    def __str__(self) -> str:
        return f"{self.number}-{'-'.join(self.words)}"


def _meant(typed: str) -> str:
    """The word of the list that is nearest to what was typed; the list is no secret, so this gives nothing away."""
    near = difflib.get_close_matches(typed[:20], _dictionary().wordlist, n=1, cutoff=0.7)
    return f"did you mean “{near[0]}”?" if near else "type it as the other computer shows it"


class LongCode(NamedTuple):
    """A code of 256 bits, for a file to carry: nobody guesses it, and nobody types it."""

    number: int
    secret: str  # hexadecimal

    @classmethod
    def draw(cls, number: int, random_bytes: Callable[[int], bytes]) -> Self:
        return cls(number, random_bytes(LONG_BYTES).hex())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises WrongUsage."""
        found = _LONG_FORM.fullmatch(text)
        if found is None or int(found[1]) not in LONG_NUMBERS:
            raise WrongUsage("That is no code of an invitation's file.", "make a new file: commonhold invite --file F")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.number}-{self.secret}"


AnyCode: TypeAlias = Code | LongCode


def code_of(text: str) -> AnyCode:
    """From what `str` made of a code. Raises WrongUsage."""
    return LongCode.parse(text) if _LONG_FORM.fullmatch(text) else Code.parse(text)


def split_address(text: str) -> tuple[str, str | None]:
    """`CODE` or `CODE@HOST:PORT`, in two: the code's text, and the address's, if there is one."""
    code, at, address = text.partition("@")
    return code, address if at else None


def four_words(identity: str) -> str:
    """The first 44 bits of a fingerprint (or another hexadecimal id), to compare by eye or aloud."""
    return "-".join(_words(int(identity[:11], 16), 4))


def recovery_words(entropy: bytes) -> str:
    """Twelve words for 16 random bytes."""
    if len(entropy) != RECOVERY_BYTES:
        raise ValueError(f"a recovery key is made from {RECOVERY_BYTES} bytes")
    return _dictionary().to_mnemonic(entropy)


def recovery_key(words: str) -> Key:
    """The recovery key that these twelve words are. Raises WrongUsage for a wrong word or checksum.

    HKDF-SHA256 (RFC 5869) to 48 bytes, reduced modulo the order: FIPS 186-5, A.2.1, whose 64 surplus
    bits make the bias negligible.
    """
    typed = words.casefold().split()
    hint = "compare them with the paper that was written when the network was founded"
    if len(typed) != 12:
        raise WrongUsage(f"A recovery key has twelve words; these are {len(typed)}.", hint)
    for word in typed:
        if word not in _known():
            raise WrongUsage(f"“{word[:20]}” is no word of a recovery key.", hint)
    if not _dictionary().check(" ".join(typed)):
        raise WrongUsage("These words are no recovery key: one is wrong, or two are exchanged.", hint)
    entropy = bytes(_dictionary().to_entropy(typed))
    material = HKDF(hashes.SHA256(), length=48, salt=None, info=b"commonhold recovery key v1").derive(entropy)
    scalar = int.from_bytes(material) % (P256_ORDER - 1) + 1
    return Key(ec.derive_private_key(scalar, ec.SECP256R1()))
