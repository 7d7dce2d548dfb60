"""The charter: the numbered document that says who guards a network, and which charter is in force. Pure.

After TUF's root metadata (TUF specification 1.0, 5.3): each charter is signed by a majority of the
guards of the one before, or by the recovery key, and names its predecessor, so that anybody can walk
from the founding one, whose id is the network's, to the one in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from commonhold.errors import Refused, WrongUsage
from commonhold.identity.certificate import Certificate
from commonhold.identity.envelope import Envelope, sign, signers, witnessed
from commonhold.identity.keys import Key, fingerprint_of, public_key
from commonhold.names import ComputerName, Fingerprint, NetworkName, PersonId, PersonName
from commonhold.wire import from_json, to_json

KIND = "application/vnd.commonhold.charter+json"
LARGEST = 8 * 2**20  # bytes of a charter's payload; a member takes about 1 KB
LONGEST_SPKI = 200  # bytes; P-256 has 91
MOST_RIVALS = 2  # charters of one number that are kept: two prove the dispute

Shape = Literal["peer-to-peer", "client-server"]


class Enrolled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A computer as a charter holds it."""

    certificate: bytes  # DER
    name: str
    person: str


class PersonEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str


class Charter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who guards the network, and who belonged to it when this was written."""

    network: str  # the network's id; nothing in the founding charter, whose own id it is
    number: int
    previous: str  # the id of the charter before; nothing in the founding one
    made: datetime  # for people, and so that no two networks have one id
    name: str
    shape: Shape
    server: str | None
    trusting: bool
    guards: tuple[str, ...]
    recovery: bytes  # public key (SPKI, DER)
    persons: tuple[PersonEntry, ...]
    members: tuple[Enrolled, ...]
    removed: tuple[Enrolled, ...] = ()  # kept as anchors, so that they hear why they are refused
    gone: tuple[str, ...] = ()  # fingerprints and person ids that stay out for ever
    settling: int = 0  # of charters signed by the recovery key the highest counts, so that a dispute of two can end

    def signed(self, keys: Iterable[Key]) -> Envelope:
        return sign(to_json(self), KIND, keys)


class Chain(msgspec.Struct, frozen=True):
    """The charters from the founding one to the one in force, and what was learned on the way."""

    charters: tuple[Charter, ...]
    in_force: Envelope
    kept: tuple[Envelope, ...]  # every charter worth keeping, rivals too
    guards: dict[Fingerprint, bytes]  # of the charter in force: fingerprint to SPKI
    ever: dict[Fingerprint, bytes]  # of all kept charters
    gone: frozenset[str]
    alarm: str = ""

    @property
    def charter(self) -> Charter:
        return self.charters[-1]


def check(charter: Charter) -> None:
    """Raise Refused or WrongUsage unless the document makes sense in itself."""
    NetworkName(charter.name)
    persons = {PersonId(entry.id): PersonName(entry.name) for entry in charter.persons}
    certificates = [Certificate.parse(member.certificate) for member in (*charter.members, *charter.removed)]
    fingerprints = [certificate.fingerprint for certificate in certificates[: len(charter.members)]]
    removed = frozenset(certificate.fingerprint for certificate in certificates[len(charter.members) :])
    members, guards = frozenset(fingerprints), frozenset(charter.guards)
    for member in charter.members:
        ComputerName(member.name)
    founding = charter.number == 1
    rules = (
        (charter.number < 1 or charter.settling < 0, "its number is no number"),
        (founding != (charter.previous == ""), "it does not say what came before"),
        (founding != (charter.network == ""), "it does not say which network it is for"),
        (not guards or len(guards) != len(charter.guards), "it names no guards, or one twice"),
        (not guards <= members, "a guard is no member"),
        (len(members) != len(fingerprints) or len(persons) != len(charter.persons), "it names a member twice"),
        (not {member.person for member in charter.members} <= persons.keys(), "a member's person is missing"),
        (bool(members.intersection(charter.gone)), "somebody is a member and removed"),
        (not removed.issubset(charter.gone), "somebody removed is not gone"),
        (len(charter.recovery) > LONGEST_SPKI or public_key(charter.recovery) is None, "its recovery key is none"),
        ((charter.shape == "client-server") != (charter.server is not None), "its shape and its server disagree"),
        (charter.server is not None and guards != {charter.server}, "the server is not its one guard"),
    )
    if trouble := next((sentence for broken, sentence in rules if broken), ""):
        raise Refused(f"That charter cannot hold: {trouble}.")


def read(envelope: Envelope) -> Charter | None:
    """The charter in an envelope, if it is one that makes sense."""
    if envelope.payload_type != KIND or len(envelope.payload) > LARGEST:
        return None
    try:
        charter = from_json(envelope.payload, Charter)
        check(charter)
    except (ValueError, Refused, WrongUsage):  # msgspec's errors are kinds of ValueError
        return None
    return charter


def guard_keys(charter: Charter) -> dict[Fingerprint, bytes]:
    certificates = (Certificate(member.certificate) for member in charter.members)
    return {each.fingerprint: each.spki for each in certificates if each.fingerprint in charter.guards}


def _keys(charter: Charter) -> dict[Fingerprint, bytes]:
    """Whose signatures matter for the next charter."""
    return {**guard_keys(charter), fingerprint_of(charter.recovery): charter.recovery}


def _authorised(envelope: Envelope, charter: Charter, before: Charter) -> bool:
    """Whether `before` lets this one follow.

    A new recovery key takes the old one: else whoever stole the one guard could lock out its owner.
    """
    if _recovered(before, envelope):
        return True
    return _by_majority(envelope, before) and charter.recovery == before.recovery


def _by_majority(envelope: Envelope, before: Charter) -> bool:
    return 2 * len(agreed(envelope, before)) > len(before.guards)


def walk(network_id: str, copies: dict[str, list[Envelope]]) -> Chain:
    """The chain of a network. `copies`: envelopes by id, charters among them.

    Raises Refused when the founding charter is missing.
    """
    founding = _founding(network_id, copies)
    charters, kept, gone, alarm = [founding[0]], [founding[1]], set(founding[0].gone), ""
    in_force, ever = founding[1], guard_keys(founding[0])
    following: dict[str, list[tuple[Charter, list[Envelope]]]] = {}
    for group in copies.values():
        if (charter := read(group[0])) is not None and charter.network == network_id:
            following.setdefault(charter.previous, []).append((charter, group))
    while True:
        rivals = _successors(charters[-1], following.get(in_force.id, ()), gone)
        kept += [envelope for _, envelope in rivals]
        for charter, _ in rivals:
            ever |= guard_keys(charter)
        chosen = _undisputed(charters[-1], rivals)
        if chosen is None:
            if rivals:
                number = charters[-1].number + 1
                alarm = f"Two different charters have the number {number}: a guard's key may be stolen."
            break
        charters.append(chosen[0])
        in_force = chosen[1]
        gone.update(chosen[0].gone)
    return Chain(tuple(charters), in_force, tuple(kept), guard_keys(charters[-1]), ever, frozenset(gone), alarm)


def _founding(network_id: str, copies: dict[str, list[Envelope]]) -> tuple[Charter, Envelope]:
    group = copies.get(network_id, [])
    charter = read(group[0]) if group else None
    envelope = witnessed(group, _keys(charter)) if charter is not None else None
    if charter is None or envelope is None or charter.number != 1 or not _authorised(envelope, charter, charter):
        raise Refused("The network's founding charter is missing.")
    return charter, envelope


def _successors(
    before: Charter, candidates: Sequence[tuple[Charter, list[Envelope]]], gone: set[str]
) -> list[tuple[Charter, Envelope]]:
    """The charters that may follow: at most two signed by the recovery key and two others, lowest ids first.

    Each copy must have the signatures that it takes: else it would matter which half of them was forgotten when.
    """
    found = []
    for charter, group in candidates:
        if charter.number != before.number + 1 or gone.intersection(charter.guards):
            continue
        whole = [copy for copy in group if _authorised(copy, charter, before)]
        if (envelope := witnessed(whole, _keys(before))) is not None:
            found.append((charter, envelope))
    found.sort(key=lambda each: each[1].id)
    found.sort(key=lambda each: _weight(before, *each), reverse=True)
    recovered = [each for each in found if _recovered(before, each[1])]
    others = [each for each in found if not _recovered(before, each[1])]
    return recovered[:MOST_RIVALS] + others[:MOST_RIVALS]


def _recovered(before: Charter, envelope: Envelope) -> bool:
    return bool(signers(envelope, {fingerprint_of(before.recovery): before.recovery}))


def _weight(before: Charter, charter: Charter, envelope: Envelope) -> tuple[bool, int]:
    """Of two charters that the recovery key signed, the one that the guards signed too counts: so whoever finds an old

    paper cannot take back that its key was replaced. Then the one that settles the other.
    """
    return _by_majority(envelope, before), charter.settling


def settled_so_far(before: Charter, before_id: str, envelopes: Iterable[Envelope]) -> int:
    """The highest `settling` that the recovery key has signed for a charter after this one; -1 when there is none."""
    found = ((charter, each) for each in envelopes if (charter := read(each)) and charter.previous == before_id)
    return max((charter.settling for charter, each in found if _recovered(before, each)), default=-1)


def agreed(envelope: Envelope, before: Charter) -> frozenset[Fingerprint]:
    """Which guards have signed this wish for a charter after `before`."""
    return signers(envelope, guard_keys(before))


def _undisputed(before: Charter, rivals: list[tuple[Charter, Envelope]]) -> tuple[Charter, Envelope] | None:
    """The one that follows. In a dispute nothing does, and the older shape stays, unless the recovery key signed

    exactly one, or one that settles the others: else a guard whose key was stolen and replaced could undo its own
    replacement, and two recoveries at two computers would leave the network without a guard for good.
    """
    if len(rivals) == 1:
        return rivals[0]
    recovered = [each for each in rivals if _recovered(before, each[1])]
    highest = [each for each in recovered if _weight(before, *each) == _weight(before, *recovered[0])]
    return highest[0] if len(highest) == 1 else None
