"""Joining by a short code, as two conversing state machines. Pure: the callers send the messages.

    newcomer                                         inviter
    Hello   (SPAKE2 message, certificate)      ->
                                               <-    Reply   (SPAKE2 message)
    Confirmation (names, HMAC, signature)      ->            the newcomer proves first
                                               <-    Waiting (HMAC over who is asked), as often as it takes
                                               <-    Welcome (HMAC over what the network is)

Where a person is asked whether to admit, the newcomer shows its proof again for each answer. What both
sides keep of it (`Remembered`) lets the last answer be given, and believed, after a restart of either.

SPAKE2 (RFC 9382; the `spake2` library on Ed25519) turns the code into a shared key without giving
a listener anything to guess with. Both public keys are its identities, so that a relay that
shows its own key to each side ends up with two different shared keys. A step of SPAKE2 takes 8 ms:
call `hello`, `answered` and `greeted` in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import StrEnum

import msgspec
import spake2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2.ed25519_basic import NotOnCurve

from commonhold.errors import Refused, WrongCode
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import AnyCode
from commonhold.identity.keys import Key, verify

PURPOSE = b"commonhold join v1"
MAC_SIZE = 32

RandomBytes = Callable[[int], bytes]


class Hello(msgspec.Struct, frozen=True):
    """The newcomer's first message."""

    spake: bytes
    certificate: bytes  # DER


class Reply(msgspec.Struct, frozen=True):
    """The inviter's answer; `session` names the conversation from now on."""

    session: bytes
    spake: bytes


class Confirmation(msgspec.Struct, frozen=True):
    """The newcomer's proof: it knows the code and holds its key, and these are the names it wants."""

    session: bytes
    computer: str
    person: str
    mac: bytes
    signature: bytes


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """The proof holds, and the owner of `computer` is being asked; so says somebody who holds the shared key."""

    computer: str
    mac: bytes


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The inviter's proof, over `contents`, byte for byte: what the newcomer is to believe."""

    contents: bytes
    mac: bytes


class Remembered(msgspec.Struct, frozen=True):
    """What both sides have agreed on, as far as the inviter's answers need it. It opens nothing by itself."""

    session: bytes
    transcript: bytes
    inviters_key: bytes

    def waiting(self, computer: str) -> Waiting:
        return Waiting(computer, self._mac(b"waiting", computer.encode()))

    def welcome(self, contents: bytes) -> Welcome:
        return Welcome(contents, self._mac(b"welcome", contents))

    def believed(self, answer: Waiting | Welcome) -> None:
        """Raise WrongCode unless it comes from somebody with the code and the key that was shown in TLS."""
        again = self.waiting(answer.computer) if isinstance(answer, Waiting) else self.welcome(answer.contents)
        if not hmac.compare_digest(again.mac, answer.mac):
            raise WrongCode(
                "The computer that answered does not know the code: somebody may stand between.",
                "ask for a new code, and for the address that goes with it",
            )

    def _mac(self, kind: bytes, said: bytes) -> bytes:
        return hmac.digest(self.inviters_key, _digest(self.transcript, kind, said), "sha256")


class JoinState(StrEnum):
    WAITING = "waiting"  # nothing said yet
    PROVING = "proving"  # first messages are under way
    PROVEN = "proven"  # the newcomer's proof was given (newcomer) or holds (inviter)
    ASKED = "asked"  # somebody is asked whether to admit it
    ADMITTED = "admitted"
    REFUSED = "refused"


NEXT: dict[JoinState, frozenset[JoinState]] = {
    JoinState.WAITING: frozenset({JoinState.PROVING, JoinState.REFUSED}),
    JoinState.PROVING: frozenset({JoinState.PROVEN, JoinState.REFUSED}),
    JoinState.PROVEN: frozenset({JoinState.ASKED, JoinState.ADMITTED, JoinState.REFUSED}),
    JoinState.ASKED: frozenset({JoinState.ASKED, JoinState.ADMITTED, JoinState.REFUSED}),
    JoinState.ADMITTED: frozenset({JoinState.ADMITTED}),  # the last answer may be asked for again
    JoinState.REFUSED: frozenset(),
}


class _Side:
    """What both sides have: a state, and the keys that SPAKE2 gave them."""

    def __init__(self) -> None:
        self.state = JoinState.WAITING
        self.remembered = Remembered(b"", b"", b"")
        self._newcomers_key = b""

    def _go(self, state: JoinState) -> None:
        if state not in NEXT[self.state]:
            raise Refused("That message does not belong at this point of joining.", "begin again with the code")
        self.state = state

    def _agree(self, machine: spake2.SPAKE2_A | spake2.SPAKE2_B, hello: Hello, reply: Reply, inviter: bytes) -> None:
        """Finish SPAKE2 and derive one key for each purpose, bound to everything that was said."""
        theirs = reply.spake if isinstance(machine, spake2.SPAKE2_B) else hello.spake
        try:
            shared = machine.finish(theirs)
        # What the library raises for hostile points and sides; its assertions are among them.
        except (spake2.SPAKEError, NotOnCurve, ValueError, AssertionError) as error:
            self.state = JoinState.REFUSED
            raise Refused("The other computer's message is no part of joining.", "begin again with the code") from error
        transcript = _digest(PURPOSE, inviter, hello.certificate, hello.spake, reply.session, reply.spake)
        self._newcomers_key = _derived(shared, transcript, b"newcomer confirms")
        self.remembered = Remembered(reply.session, transcript, _derived(shared, transcript, b"inviter confirms"))

    def _newcomers_mac(self, said: bytes) -> bytes:
        return hmac.digest(self._newcomers_key, said, "sha256")

    def _said(self, computer: str, person: str) -> bytes:
        """What the newcomer confirms and signs."""
        return _digest(PURPOSE, self.remembered.transcript, computer.encode(), person.encode())


def _derived(shared: bytes, transcript: bytes, label: bytes) -> bytes:
    return HKDF(hashes.SHA256(), length=MAC_SIZE, salt=transcript, info=PURPOSE + b": " + label).derive(shared)


def _digest(*parts: bytes) -> bytes:
    """SHA-256 of the parts, each behind its length, so that no two lists of parts are one text."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


def _spake(side: type, code: AnyCode, inviter: bytes, newcomer: bytes, entropy: RandomBytes) -> spake2.SPAKE2_A:
    return side(
        PURPOSE + b": " + str(code).encode(),
        idA=b"inviter" + hashlib.sha256(inviter).digest(),
        idB=b"newcomer" + hashlib.sha256(newcomer).digest(),
        entropy_f=entropy,
    )


class Candidate(_Side):
    """A newcomer that has given its proof, also one that was started anew since, and hears what becomes of it."""

    @classmethod
    def again(cls, remembered: Remembered) -> Candidate:
        candidate = cls()
        candidate.state, candidate.remembered = JoinState.PROVEN, remembered
        return candidate

    def asked(self, waiting: Waiting) -> str:
        """The computer whose owner is being asked. Raises WrongCode for what is not the inviter's word."""
        self._believe(waiting, JoinState.ASKED)
        return waiting.computer

    def welcomed(self, welcome: Welcome) -> bytes:
        """The contents, now known to come from somebody with the code and the key shown in TLS. Raises WrongCode."""
        self._believe(welcome, JoinState.ADMITTED)
        return welcome.contents

    def _believe(self, answer: Waiting | Welcome, state: JoinState) -> None:
        self._go(state)
        try:
            self.remembered.believed(answer)
        except WrongCode:
            self.state = JoinState.REFUSED
            raise


class Newcomer(Candidate):
    """The side that wants in. `inviter` is the public key (SPKI) that TLS showed."""

    def __init__(self, code: AnyCode, key: Key, certificate: Certificate, inviter: bytes, entropy: RandomBytes) -> None:
        super().__init__()
        self._key, self._certificate, self._inviter = key, certificate, inviter
        self._machine = _spake(spake2.SPAKE2_B, code, inviter, key.spki, entropy)
        self._hello = Hello(b"", b"")

    def hello(self) -> Hello:
        self._go(JoinState.PROVING)
        self._hello = Hello(self._machine.start(), self._certificate.der)
        return self._hello

    def answered(self, reply: Reply, computer: str, person: str) -> Confirmation:
        """Prove the code and the key. Raises Refused for a reply that is none."""
        self._go(JoinState.PROVEN)
        self._agree(self._machine, self._hello, reply, self._inviter)
        said = self._said(computer, person)
        return Confirmation(reply.session, computer, person, self._newcomers_mac(said), self._key.sign(said))


class Inviter(_Side):
    """The side that admits, for one attempt of one newcomer."""

    def __init__(self, code: AnyCode, spki: bytes, entropy: RandomBytes) -> None:
        super().__init__()
        self._code, self._spki, self._entropy = code, spki, entropy
        self.session = entropy(16)
        self._confirmation: Confirmation | None = None
        self.newcomer: Certificate | None = None

    def greeted(self, hello: Hello) -> Reply:
        """Answer the first message; the caller has counted the try. Raises Refused for a hostile one."""
        self._go(JoinState.PROVING)
        self.newcomer = Certificate.parse(hello.certificate)
        machine = _spake(spake2.SPAKE2_A, self._code, self._spki, self.newcomer.spki, self._entropy)
        reply = Reply(self.session, machine.start())
        self._agree(machine, hello, reply, self._spki)
        return reply

    def confirmed(self, confirmation: Confirmation) -> Certificate:
        """Whose certificate it is that was proven. Raises WrongCode; the same proof may be shown again."""
        if self.newcomer is not None and self._confirmation is not None and confirmation == self._confirmation:
            return self.newcomer
        self._go(JoinState.PROVEN)
        said = self._said(confirmation.computer, confirmation.person)
        known = confirmation.session == self.session
        known &= hmac.compare_digest(self._newcomers_mac(said), confirmation.mac)
        if self.newcomer is None or not known or not verify(self.newcomer.spki, said, confirmation.signature):
            self.state = JoinState.REFUSED
            raise WrongCode("The code is wrong.")
        self._confirmation = confirmation
        return self.newcomer

    def waiting(self, computer: str) -> Waiting:
        """What a proven newcomer is told while the owner of `computer` is asked."""
        self._go(JoinState.ASKED)
        return self.remembered.waiting(computer)

    def welcome(self, contents: bytes) -> Welcome:
        """What an admitted newcomer is told."""
        self._go(JoinState.ADMITTED)
        return self.remembered.welcome(contents)
