"""Who belongs: the charter in force and the guards' facts, merged. Pure.

Merging is union: the order in which things are heard never matters. A removal wins over every
admission, for ever, so that nobody comes back by a guard that has not heard. Names never decide
anything; two computers of one name are told apart by words from their fingerprints.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec

from commonhold.authority.charter import KIND as CHARTER
from commonhold.authority.charter import Chain, Charter, Enrolled, PersonEntry, Shape, walk
from commonhold.errors import CommonholdError, Conflict, NotFound, Refused
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import four_words
from commonhold.identity.envelope import Envelope, sign, witnessed
from commonhold.identity.keys import Key
from commonhold.names import LONGEST_NAME, ComputerName, Fingerprint, NetworkName, PersonId, PersonName
from commonhold.wire import from_json, to_json

LARGEST_FACT = 64 * 1024  # bytes of payload
MOST_FACTS = 100_000

Named = TypeVar("Named", ComputerName, PersonName)


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
    """One computer of the network; `name` is unique among members."""

    fingerprint: Fingerprint
    name: str
    certificate: Certificate
    person: PersonId


@dataclass(frozen=True, slots=True)
class Roster:
    """One moment's answer to who belongs. Two rosters from the same envelopes are equal."""

    network_id: str
    network: NetworkName
    charter: Charter
    charter_id: str
    guards: frozenset[Fingerprint]
    members: dict[Fingerprint, Member]
    persons: dict[PersonId, PersonName]
    removed: frozenset[Fingerprint]
    removed_members: dict[Fingerprint, Member]  # those of them whose certificate is known
    gone: frozenset[str]  # every fingerprint and person id that was removed
    envelopes: tuple[Envelope, ...] = field(repr=False)
    digest: str
    alarm: str = ""

    @classmethod
    def of(cls, network_id: str, envelopes: Iterable[Envelope]) -> Roster:
        """Merge. Whatever is not signed by a guard, or is for another network, changes nothing.

        Raises Refused when the founding charter is not among them.
        """
        copies: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            if envelope.payload_type in KINDS or envelope.payload_type == CHARTER:
                copies.setdefault(envelope.id, []).append(envelope)
        chain = walk(network_id, copies)
        kept, facts = _facts(network_id, chain, copies)
        return _view(network_id, chain, kept, facts)

    def merged(self, envelopes: Iterable[Envelope]) -> Roster:
        return Roster.of(self.network_id, (*self.envelopes, *envelopes))

    @property
    def shape(self) -> Shape:
        return self.charter.shape

    @property
    def trusting(self) -> bool:
        return self.charter.trusting

    @property
    def server(self) -> Fingerprint | None:
        return Fingerprint(self.charter.server) if self.charter.server else None

    @property
    def anchors(self) -> tuple[Certificate, ...]:
        """The certificates that may complete a handshake; removed ones too, so that they hear why they are refused."""
        everybody = (*self.members.values(), *self.removed_members.values())
        return tuple(member.certificate for member in everybody)

    def find(self, name: str) -> Member | None:
        """The computer of that name (capitals do not matter) or fingerprint."""
        wanted = _folded(name)
        for member in self.members.values():
            if wanted in {member.fingerprint, _folded(member.name)}:
                return member
        return None

    def find_person(self, name: str) -> PersonId | None:
        """The person of that name (capitals do not matter) or id."""
        if name in self.persons:  # first: a name may look like somebody else's id
            return PersonId(name)
        wanted = _folded(name)
        return next((person for person, known in self.persons.items() if _folded(known) == wanted), None)

    def computers_of(self, person: PersonId) -> tuple[Member, ...]:
        return tuple(member for member in self.members.values() if member.person == person)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def mark(envelope: Envelope) -> str:
    """What tells two kept envelopes apart: what is said, and who says it."""
    said = " ".join((envelope.id, *sorted(signature.keyid for signature in envelope.signatures)))
    return hashlib.sha256(said.encode()).hexdigest()


def _facts(
    network_id: str, chain: Chain, copies: dict[str, list[Envelope]]
) -> tuple[tuple[Envelope, ...], list[tuple[str, Fact]]]:
    """What is worth keeping, and the facts that count, by id.

    Facts of guards of other charters are kept, since a dispute may bring their charter back; facts of
    anybody else are not.
    """
    counting, waiting, facts = [], [], []
    for known in sorted(copies):
        kind = KINDS.get(copies[known][0].payload_type)
        if kind is None or len(copies[known][0].payload) > LARGEST_FACT:
            continue
        envelope = witnessed(copies[known], chain.ever)
        if envelope is None or (fact := _read(envelope, kind, network_id)) is None:
            continue
        if any(signature.keyid in chain.guards for signature in envelope.signatures):
            counting.append(envelope)
            facts.append((known, fact))
        else:
            waiting.append(envelope)
    kept = (*chain.kept, *counting, *waiting)[:MOST_FACTS]
    return tuple(sorted(kept, key=lambda each: each.id)), facts[:MOST_FACTS]


def _read(envelope: Envelope, kind: type[Fact], network_id: str) -> Fact | None:
    """The fact inside, if it is for this network and nothing in it is hostile."""
    try:
        fact = from_json(envelope.payload, kind)
        if isinstance(fact, Admit):
            Certificate.parse(fact.certificate)
            ComputerName(fact.name)
            PersonId(fact.person)
        elif isinstance(fact, PersonFact):
            PersonId(fact.id)
            PersonName(fact.name)
        else:
            _ = PersonId(fact.subject) if len(fact.subject) == 32 else Fingerprint(fact.subject)
    except (ValueError, CommonholdError):  # msgspec's errors are kinds of ValueError
        return None
    return fact if fact.network == network_id else None


def _view(network_id: str, chain: Chain, kept: tuple[Envelope, ...], facts: Sequence[tuple[str, Fact]]) -> Roster:
    charter, guards = chain.charter, frozenset(chain.guards)
    gone = chain.gone.union(fact.subject for _, fact in facts if isinstance(fact, Remove))
    named = {PersonId(entry.id): entry.name for entry in charter.persons}
    enrolled = {Certificate(each.certificate).fingerprint: each for each in charter.members}
    chartered: Collection[str] = {*named, *enrolled}
    for _, fact in facts:  # by id, and the first one said stays: the charter's, then the lowest id's
        if isinstance(fact, PersonFact):
            named.setdefault(PersonId(fact.id), fact.name)
        elif isinstance(fact, Admit):
            fingerprint = Certificate(fact.certificate).fingerprint
            enrolled.setdefault(fingerprint, Enrolled(fact.certificate, fact.name, fact.person))
    # A guard leaves by a charter only: a fact that removes it waits until it is none.
    inside = {
        fingerprint: each
        for fingerprint, each in enrolled.items()
        if fingerprint in guards or (each.person in named and not gone.intersection({fingerprint, each.person}))
    }
    outside = {Certificate(each.certificate).fingerprint: each for each in charter.removed} | {
        fingerprint: each for fingerprint, each in enrolled.items() if gone.intersection({fingerprint, each.person})
    }
    outside = {fingerprint: each for fingerprint, each in outside.items() if fingerprint not in inside}
    acting = {each.person for each in inside.values()}
    persons = {person: name for person, name in named.items() if person not in gone or person in acting}
    removed = {Fingerprint(each) for each in gone if len(each) == 64} | outside.keys()
    computer_names = _told_apart({known: each.name for known, each in inside.items()}, chartered, ComputerName)
    return Roster(
        network_id=network_id,
        network=NetworkName(charter.name),
        charter=charter,
        charter_id=chain.in_force.id,
        guards=guards,
        members={known: _member(each, computer_names[known]) for known, each in sorted(inside.items())},
        persons=_told_apart(persons, chartered, PersonName),
        removed=frozenset(removed - inside.keys()),
        removed_members={known: _member(each, each.name) for known, each in sorted(outside.items())},
        gone=gone,
        envelopes=kept,
        digest=hashlib.sha256("\n".join(map(mark, kept)).encode()).hexdigest(),
        alarm=chain.alarm,
    )


def _member(each: Enrolled, name: str) -> Member:
    certificate = Certificate(each.certificate)
    return Member(certificate.fingerprint, name, certificate, PersonId(each.person))


Identity = TypeVar("Identity", Fingerprint, PersonId)


def _told_apart(names: dict[Identity, str], chartered: Collection[str], kind: type[Named]) -> dict[Identity, Named]:
    """Names without doubles: whoever is in the charter keeps its own, then the lower id; the other gets its words."""
    taken: set[str] = set()
    given: dict[Identity, Named] = {}
    for identity in sorted(names, key=lambda each: (each not in chartered, each)):
        name = names[identity]
        if _folded(name) in taken:
            words = four_words(identity)
            short = name.encode()[: LONGEST_NAME - len(words) - 1].decode(errors="ignore").rstrip(" .")
            name = f"{short}-{words}"
        if _folded(name) in taken:  # somebody bears that very name: on purpose
            name = identity[:LONGEST_NAME]
        taken.add(_folded(name))
        given[identity] = kind(name)
    return dict(sorted(given.items()))


def _signed(key: Key, fact: Fact) -> Envelope:
    return sign(to_json(fact), TYPES[type(fact)], [key])


def require_guard(key: Key, roster: Roster) -> None:
    """Raise Refused unless this key's signature counts."""
    if key.fingerprint not in roster.guards:
        guards = " or ".join(sorted(roster.members[guard].name for guard in roster.guards))
        raise Refused("This computer is no guard of the network.", f"do it on {guards}")


def found(
    *,
    key: Key,
    certificate: Certificate,
    network: NetworkName,
    shape: Shape,
    trusting: bool,
    computer: ComputerName,
    person: PersonName,
    person_id: PersonId,
    recovery: Key,
    now: datetime,
) -> Envelope:
    """The founding charter: its `id` is the network's. Of `recovery` only the public key is kept."""
    charter = Charter(
        network="",
        number=1,
        previous="",
        made=now,
        name=network,
        shape=shape,
        server=key.fingerprint if shape == "client-server" else None,
        trusting=trusting,
        guards=(key.fingerprint,),
        recovery=recovery.spki,
        persons=(PersonEntry(person_id, person),),
        members=(Enrolled(certificate.der, computer, person_id),),
    )
    return charter.signed([key])


def admit(
    key: Key,
    roster: Roster,
    certificate: Certificate,
    *,
    name: ComputerName,
    person: PersonId,
    person_name: PersonName | None = None,
) -> tuple[Envelope, ...]:
    """The facts that let a computer in; `person_name` makes a new person.

    Raises Conflict when a name is taken, Refused when the key or the person was removed or this computer is no guard.
    """
    require_guard(key, roster)
    if roster.gone.intersection({certificate.fingerprint, person}):
        raise Refused(
            "This computer was removed from the network, for ever.", "join again with a new home and a new key"
        )
    if (other := roster.find(name)) is not None and other.fingerprint != certificate.fingerprint:
        raise Conflict(f"The computer name “{name}” is taken.", "choose another with --computer NAME")
    facts: list[Fact] = [Admit(roster.network_id, certificate.der, name, person)]
    if person_name is not None:
        if roster.find_person(person_name) is not None:
            raise Conflict(
                f"The name “{person_name}” belongs to somebody already.",
                f"ask for: commonhold invite --person {person_name}",
            )
        facts.append(PersonFact(roster.network_id, person, person_name))
    elif person not in roster.persons:
        raise NotFound("The person whose computer this is to be is not in the network.")
    return tuple(_signed(key, fact) for fact in facts)


def remove(key: Key, roster: Roster, subject: Fingerprint | PersonId) -> tuple[Envelope, ...]:
    """The fact that removes a computer, or a person with all computers. Raises NotFound, Refused for guards."""
    require_guard(key, roster)
    leaving = [member for member in roster.members.values() if subject in {member.fingerprint, member.person}]
    if not leaving and subject not in roster.persons:
        raise NotFound("There is no such computer or person in the network.", "commonhold members")
    for member in leaving:
        if member.fingerprint in roster.guards:
            raise Refused(f"{member.name} is a guard of the network: a guard leaves by a new charter only.")
    return (_signed(key, Remove(roster.network_id, subject)),)


def next_charter(
    roster: Roster,
    now: datetime,
    *,
    guards: Sequence[Fingerprint],
    server: Fingerprint | None = None,
    leaving: Collection[Fingerprint] = (),
) -> Charter:
    """The charter after the one in force, with everybody who belongs at present; to be signed by whom it takes.

    With `server` its shape is client-server. `leaving` are removed by it, guards too.
    """
    staying = [member for member in roster.members.values() if member.fingerprint not in leaving]
    outside = [*roster.removed_members.values()]
    outside += [member for member in roster.members.values() if member.fingerprint in leaving]
    gone = roster.gone.union(member.fingerprint for member in outside)
    return Charter(
        network=roster.network_id,
        number=roster.charter.number + 1,
        previous=roster.charter_id,
        made=now,
        name=roster.network,
        shape="client-server" if server else "peer-to-peer",
        server=server,
        trusting=roster.trusting,
        guards=tuple(guards),
        recovery=roster.charter.recovery,
        persons=tuple(PersonEntry(person, name) for person, name in roster.persons.items()),
        members=tuple(_enrolled(member) for member in staying),
        removed=tuple(_enrolled(member) for member in outside),
        gone=tuple(sorted(gone - {member.fingerprint for member in staying})),
    )


def _enrolled(member: Member) -> Enrolled:
    return Enrolled(member.certificate.der, member.name, member.person)
