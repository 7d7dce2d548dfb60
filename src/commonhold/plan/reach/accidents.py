"""What people can break for others by mistake, from what each of them may do. *Pure*, and exact: nothing is drawn.

Everybody is as likely to make a mistake as everybody else, and hits each thing within reach with the same chance: each
file, each computer. Hurt are the others who use what was hit. What is deleted or overwritten through the network comes
back from its versions; what an owner deletes on a disk of their own does not, since no node watches that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from commonhold.authority.authority import Door, Subject, Verb
from commonhold.plan.reach.landscape import Landscape, Site


class Mistake(StrEnum):
    FILE = "deletes or overwrites a file"
    DISK = "fills a disk"
    POWER = "switches a computer off"
    TASK = "ends what runs on a computer"


# Minutes until those who were hurt go on as before: guesses, except the commands themselves, which take seconds.
RESTORED = 10.0  # somebody notices, and types `commonhold restore`
MADE_AGAIN = 240.0  # half a day's work on what has no version
NOTICED = {Mistake.DISK: 20.0, Mistake.POWER: 30.0, Mistake.TASK: 5.0}  # a task begins anew by itself, elsewhere


class SharedFiles(NamedTuple):
    """One share: at which computer, how many files, who needs them, and who may overwrite and delete them."""

    computer: str
    files: int
    users: frozenset[str]
    writers: frozenset[str]


class Commons(NamedTuple):
    """A network as mistakes find it. `owners` has each computer's; `kept`: there are versions."""

    people: Sequence[str]
    owners: Mapping[str, str]
    shares: Sequence[SharedFiles]
    runners: Mapping[str, frozenset[str]]  # by computer: whose tasks run there
    kept: bool = True


class Harm(msgspec.Struct, frozen=True):
    """What one mistake of a kind does."""

    able: float  # part of the people who can hurt others so
    hurt: float  # other people hurt, on average
    most: float  # at worst
    minutes: float  # that all of them lose together, on average


class _Hit(NamedTuple):
    weight: int
    hurt: float
    minutes: float


def harms(commons: Commons) -> dict[Mistake, Harm]:
    """Of each kind."""
    return {kind: _harm([list(_hits(commons, kind, person)) for person in commons.people]) for kind in Mistake}


def mean(found: Collection[Harm]) -> Harm:
    """Of a mistake, when all of these kinds are as likely."""
    columns = zip(*((each.able, each.hurt, each.minutes) for each in found), strict=True)
    able, hurt, minutes = (sum(column) / len(found) for column in columns)
    return Harm(able, hurt, max(each.most for each in found), minutes)


def commons(land: Landscape, needed: Landscape | None = None, *, kept: bool = True) -> Commons:
    """From the rights that there are. Whoever may read a file needs it; with `needed`, only who may so there."""
    subjects = {each.person: each for key in land.credentials.values() for each in key.subjects if each.person}
    owners = {name: who for name, keys in land.lying.items() for who in _whose(land, keys)}
    owners |= {site.computer: site.owner for site in land.sites.values()}
    shares, runners = [], {}
    for site in land.sites.values():
        doors = {door.id: door for door in site.doors}
        for pile in site.piles:
            here = [doors[each] for each in sorted(pile.doors)]
            writers = _who(land, site, Verb.WRITE, here, subjects.values())
            users = _who(land, site, Verb.READ, here, subjects.values())
            shares.append(SharedFiles(site.computer, pile.files, users, writers))
        if site.compute is not None:
            runners[site.computer] = _who(land, site, Verb.RUN, [site.compute], subjects.values())
    if needed is not None:
        shares = [one._replace(users=other.users) for one, other in zip(shares, commons(needed).shares, strict=True)]
    return Commons(tuple(sorted(subjects)), owners, shares, runners, kept)


def _hits(commons: Commons, kind: Mistake, person: str) -> Iterator[_Hit]:
    """All that a mistake of this person may hit."""
    if kind is Mistake.FILE:
        for share in commons.shares:
            own = commons.owners[share.computer] == person
            if own or person in share.writers:
                minutes = RESTORED if commons.kept and not own else MADE_AGAIN
                yield _Hit(share.files, len(share.users - {person}), minutes)
        return
    for computer, owner in commons.owners.items():
        there = [share for share in commons.shares if share.computer == computer]
        writers = frozenset[str]().union(*(share.writers for share in there))
        storing = frozenset[str]().union(*(share.writers & share.users for share in there))
        if kind is Mistake.TASK:  # each person's runs somewhere
            others = len(commons.runners.get(computer, frozenset()) - {person}) / max(1, len(commons.runners))
        elif kind is Mistake.POWER:
            others = len(frozenset[str]().union(*(share.users for share in there)) - {person})
        else:
            others = len(storing - {person})
        if owner == person or (kind is Mistake.DISK and person in writers):
            yield _Hit(1, others, NOTICED[kind])


def _harm(people: Sequence[Sequence[_Hit]]) -> Harm:
    able = sum(any(hit.hurt for hit in hits) for hits in people)
    hurt = sum(_average(hits, [hit.hurt for hit in hits]) for hits in people)
    minutes = sum(_average(hits, [hit.hurt * hit.minutes for hit in hits]) for hits in people)
    most = max((hit.hurt for hits in people for hit in hits), default=0)
    return Harm(able / len(people), hurt / len(people), most, minutes / len(people))


def _average(hits: Sequence[_Hit], values: Sequence[float]) -> float:
    weight = sum(hit.weight for hit in hits)
    return sum(hit.weight * value for hit, value in zip(hits, values, strict=True)) / weight if weight else 0.0


def _who(land: Landscape, site: Site, verb: Verb, doors: Sequence[Door], subjects: Iterable[Subject]) -> frozenset[str]:
    return frozenset(
        each.person
        for each in subjects
        if each.person is not None and any(land.decide(site, each, verb, door).allowed for door in doors)
    )


def _whose(land: Landscape, keys: Sequence[str]) -> list[str]:
    """The person of the key that lies there first."""
    return [each.person for key in keys[:1] for each in land.credentials[key].subjects[:1] if each.person]
