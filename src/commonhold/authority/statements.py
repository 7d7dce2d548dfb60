"""The guards' facts: who was let in, who was removed, which persons there are. Pure.

What an envelope says is read once, when it is heard: a roster of thousands is merged anew with every
further fact, and reading takes most of that time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from commonhold.authority.charter import Enrolled
from commonhold.errors import CommonholdError
from commonhold.identity.certificate import Certificate
from commonhold.identity.envelope import Envelope, sign, witnessed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, Fingerprint, PersonId, PersonName
from commonhold.wire import from_json, to_json

LARGEST_FACT = 64 * 1024  # bytes of payload


class Admit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """This computer belongs, and acts for this person."""

    network: str
    certificate: bytes
    name: str
    person: str


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """This computer, or this person with all computers, stays out for ever."""

    network: str
    subject: str  # a Fingerprint or a PersonId


class PersonFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is a person of this name."""

    network: str
    id: str
    name: str


Fact: TypeAlias = Admit | Remove | PersonFact
KINDS: dict[str, type[Fact]] = {
    "application/vnd.commonhold.admit+json": Admit,
    "application/vnd.commonhold.remove+json": Remove,
    "application/vnd.commonhold.person+json": PersonFact,
}
TYPES = {kind: payload_type for payload_type, kind in KINDS.items()}


class Member(msgspec.Struct, frozen=True):
    """One computer of the network; in a roster `name` is unique among members."""

    fingerprint: Fingerprint
    name: ComputerName
    certificate: Certificate
    person: PersonId


class Statement(msgspec.Struct, frozen=True):
    """A fact that somebody signed whose word counts, or may come to count.

    `about`: whom an Admit lets in, what a PersonFact calls somebody.
    """

    id: str
    mark: str
    envelope: Envelope
    signers: frozenset[str]
    fact: Fact
    about: Member | PersonName | None


def mark(envelope: Envelope) -> str:
    """What tells two kept envelopes apart: what is said, and who says it."""
    said = " ".join((envelope.id, *sorted(signature.keyid for signature in envelope.signatures)))
    return hashlib.sha256(said.encode()).hexdigest()


def member_of(each: Enrolled | Admit) -> Member:
    """The computer as it is enrolled; raises what parsing its certificate, name and person raise."""
    certificate = Certificate.parse(each.certificate)
    return Member(certificate.fingerprint, ComputerName(each.name), certificate, PersonId(each.person))


def signed(key: Key, fact: Fact) -> Envelope:
    return sign(to_json(fact), TYPES[type(fact)], [key])


def heard(
    network_id: str, known: str, copies: Iterable[Envelope], keys: Mapping[Fingerprint, bytes]
) -> Statement | None:
    """What copies of one fact, whose id is `known`, say together; None when nobody of `keys` signed them, or when

    nothing that makes sense is said.
    """
    envelope = witnessed(copies, keys)
    kind = KINDS.get(envelope.payload_type) if envelope is not None else None
    if envelope is None or kind is None or len(envelope.payload) > LARGEST_FACT:
        return None
    try:
        fact = from_json(envelope.payload, kind)
        about = _checked(fact)
    except (ValueError, CommonholdError):  # msgspec's errors are kinds of ValueError
        return None
    if fact.network != network_id:
        return None
    signers = frozenset(signature.keyid for signature in envelope.signatures)
    return Statement(known, mark(envelope), envelope, signers, fact, about)


def _checked(fact: Fact) -> Member | PersonName | None:
    """Raise WrongUsage or Refused when anything in the fact is hostile."""
    match fact:
        case Admit():
            return member_of(fact)
        case PersonFact():
            PersonId(fact.id)
            return PersonName(fact.name)
        case Remove():
            _ = PersonId(fact.subject) if len(fact.subject) == 32 else Fingerprint(fact.subject)
    return None
