"""Who could read or destroy what: for each key, password and computer, worst first. *Pure.*

Exact: what landscape.py reaches, counted. Severity is called as BloodHound calls it, by the part that is reached:
critical from 95 in 100, high from 80, moderate from 40. What decides most are the rules and memberships without which
the mean falls furthest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from commonhold.plan.reach.accidents import Harm
from commonhold.plan.reach.landscape import Holds, Landscape, May, Pile, Power, Reach, Shows, Site

SEVERITIES = ((0.95, "critical"), (0.8, "high"), (0.4, "moderate"), (0.0, "low"))
Measure = Literal["files", "bytes"]
MOST_FACTS = 200  # rules of one computer, and persons of one group, whose weight is looked at


class Approach(msgspec.Struct, frozen=True):
    """One door that opens, how far, and by which steps."""

    door: str  # COMPUTER:DOOR
    extent: str
    steps: tuple[str, ...]


class Exposed(msgspec.Struct, frozen=True):
    """What follows when this is stolen, or its person errs. Parts are from 0 to 1 of all files that are known of."""

    name: str
    kind: str  # "key", "password", "recovery key", "computer"
    person: str
    severity: str
    read: float
    destroy: float
    gone: float  # destroyed beyond the versions
    doors: int
    computers: int  # at which a door opens: places to shut it, where no guard removes it
    approaches: tuple[Approach, ...] = ()


class Pivot(msgspec.Struct, frozen=True):
    """How far the mean and the worst of all persons' keys and passwords fall when one fact goes; a deny's rise."""

    fact: str
    computer: str
    read: float
    destroy: float
    worst: float


class Shift(msgspec.Struct, frozen=True):
    """A row that one change of rules changes; None where it was not, or is not any more."""

    name: str
    before: Exposed | None
    after: Exposed | None


class WhatIf(msgspec.Struct, frozen=True):
    """What one change would do: what would be `said` of it, and the rows that it changes."""

    change: str
    said: str
    shifts: tuple[Shift, ...]


class Exposure(msgspec.Struct, frozen=True):
    """The whole answer. `unknown` are computers whose rules nobody here may read: what lies there is not counted."""

    rows: tuple[Exposed, ...]
    files: int
    bytes: int
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    pivots: tuple[Pivot, ...] = ()
    warnings: tuple[str, ...] = ()
    mistakes: Mapping[str, Harm] = {}  # what one of a kind does, by the same rights
    what_if: WhatIf | None = None

    def of(self, *kinds: str) -> list[Exposed]:
        return [row for row in self.rows if row.kind in kinds]


def severity(part: float) -> str:
    return next(word for least, word in SEVERITIES if part >= least)


def exposure(land: Landscape, by: Measure = "files", warnings: Iterable[str] = ()) -> Exposure:
    """Every credential and computer, worst first. `by`: what is counted."""
    rows = [_row(land, each.name, each.kind, Shows(each.name), by) for each in land.credentials.values()]
    computers = dict.fromkeys([*land.lying, *land.sites])
    rows += [_row(land, land.names.get(each, each), "computer", Holds(each), by) for each in computers]
    piles = [pile for site in land.sites.values() for pile in site.piles]
    return Exposure(
        tuple(sorted(rows, key=_worst_first)),
        sum(pile.files for pile in piles),
        sum(pile.bytes for pile in piles),
        tuple(sorted(site.name for site in land.sites.values())),
        tuple(sorted(land.unknown)),
        warnings=tuple(warnings),
    )


def pivots(land: Landscape, by: Measure = "files") -> list[Pivot]:
    """Which rules and memberships decide most, each tried without; what changes nothing is left out."""
    starts = [Shows(each.name) for each in land.credentials.values() if each.subjects]
    reaches = {start: land.reach(start) for start in starts}
    before = {start: _levels(land, reach, by) for start, reach in reaches.items()}
    found = []
    for site, fact, other in _facts(land):
        changed = {start: _levels(other, other.reach(start), by) for start in starts if other.differs(reaches[start])}
        after = before | changed
        if after != before:
            (read, destroy, worst), (now_read, now_destroy, now_worst) = _summed(before), _summed(after)
            found.append(Pivot(fact, site.name, read - now_read, destroy - now_destroy, worst - now_worst))
    return sorted(found, key=lambda each: (-abs(each.read + each.destroy), -abs(each.worst), each.computer, each.fact))


def _facts(land: Landscape) -> Iterator[tuple[Site, str, Landscape]]:
    """Each rule and membership in words, and how it would be without it."""
    for site in land.sites.values():
        for rule in site.rules[:MOST_FACTS]:
            yield site, str(rule), land.without_rule(site, rule)
        for group, persons in site.groups.items():
            for person in sorted(persons)[:MOST_FACTS]:
                name = land.persons.get(person, person)
                yield site, f"{name} in the group {group}", land.without_membership(site, group, person)


def shifts(before: Exposure, after: Exposure) -> list[Shift]:
    """The rows that differ, in the order of the later ones."""
    was = {(row.kind, row.name): row for row in before.rows}
    now = {(row.kind, row.name): row for row in after.rows}
    keys = dict.fromkeys([*now, *was])
    pairs = [(key[1], was.get(key), now.get(key)) for key in keys]
    return [Shift(name, one, other) for name, one, other in pairs if _figures(one) != _figures(other)]


def _figures(row: Exposed | None) -> tuple[float, ...] | None:
    return (row.read, row.destroy, row.gone, row.doors) if row is not None else None


def _levels(land: Landscape, reach: Reach, by: Measure) -> tuple[float, float]:
    return _part(land, reach, by, _reads), _part(land, reach, by, _destroys)


def _summed(levels: Mapping[Shows, tuple[float, float]]) -> tuple[float, float, float]:
    """-> (mean read, mean destroyed, worst of either)."""
    read, destroy = zip(*levels.values(), strict=True)
    return sum(read) / len(read), sum(destroy) / len(destroy), max(*read, *destroy)


def _row(land: Landscape, name: str, kind: str, start: Shows | Holds, by: Measure) -> Exposed:
    reach = land.reach(start)
    read, destroy = _part(land, reach, by, _reads), _part(land, reach, by, _destroys)
    opened = [each for each in reach.ways if isinstance(each, May) and each.power is Power.OPEN]
    return Exposed(
        name=name,
        kind=kind,
        person=_person(land, start),
        severity=severity(max(read, destroy)),
        read=read,
        destroy=destroy,
        gone=_part(land, reach, by, Reach.gone),
        doors=len(opened),
        computers=len({each.computer for each in opened}),
        approaches=tuple(sorted((_approach(land, reach, each) for each in opened), key=lambda each: each.door)),
    )


def _part(land: Landscape, reach: Reach, by: Measure, holds: Callable[[Reach, Site, Pile], bool]) -> float:
    everything = [(site, pile, getattr(pile, by)) for site in land.sites.values() for pile in site.piles]
    total = sum(count for _, _, count in everything)
    return sum(count for site, pile, count in everything if holds(reach, site, pile)) / total if total else 0.0


def _reads(reach: Reach, site: Site, pile: Pile) -> bool:
    return reach.has(Power.READ, site, pile)


def _destroys(reach: Reach, site: Site, pile: Pile) -> bool:
    return reach.has(Power.DESTROY, site, pile)


def _person(land: Landscape, start: Shows | Holds) -> str:
    """Whose it is: of a computer, whose key lies there first."""
    names: Sequence[str] = [start.name] if isinstance(start, Shows) else land.lying.get(start.computer, ())
    subjects = [subject for name in names[:1] for subject in land.credentials[name].subjects]
    return subjects[0].person_name if subjects else ""


def _approach(land: Landscape, reach: Reach, opened: May) -> Approach:
    """The furthest that it goes at this door, and the way there."""
    site = land.sites[opened.computer]
    names = {door.id: door.name for door in (*site.doors, *([site.compute] if site.compute else []))}
    powers = [power for power in Power if May(power, opened.computer, opened.door) in reach.ways]
    extents = {Power.OPEN: "opens", Power.READ: "reads", Power.DESTROY: "destroys"}
    furthest = [power for power in powers if power is not Power.FORGET][-1]
    beyond = furthest is Power.DESTROY and Power.FORGET in powers
    needed = [Power.FORGET, furthest] if beyond else [furthest]
    steps = max((reach.ways[May(power, opened.computer, opened.door)] for power in needed), key=len)
    extent = "destroys beyond the versions" if beyond else extents[furthest]
    return Approach(f"{site.name}:{names[opened.door]}", extent, steps)


def _worst_first(row: Exposed) -> tuple[float, float, float, int, str, str]:
    return -max(row.read, row.destroy), -row.destroy, -row.gone, -row.doors, row.kind, row.name
