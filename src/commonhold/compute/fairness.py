"""How the cores that a computer lends are divided among those who want them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

MOST_SESSIONS = 32  # of all persons together, but that whoever has none yet still gets one
MOST_OF_ONE = 8  # sessions of one person
MOST_PERSONS = 64  # who have a session at a time

Whose = TypeVar("Whose", bound=Hashable)
Which = TypeVar("Which", bound=Hashable)


def divided(cores: int, wants: Mapping[Whose, int], turn: int = 0) -> dict[Whose, int]:
    """Equal parts: nobody gets more than they want, and what one leaves goes to the others.

    What does not divide evenly goes to another at each `turn`. Where there are fewer cores than those who want some,
    the last in turn get none.

    >>> divided(4, {"ann": 1, "bob": 9, "carol": 9})
    {'ann': 1, 'bob': 2, 'carol': 1}
    """
    parts = dict.fromkeys(wants, 0)
    left = cores
    while left > 0 and (unmet := [each for each in wants if parts[each] < wants[each]]):
        first = turn % len(unmet)
        for each in (unmet[first:] + unmet[:first])[:left]:
            parts[each] += 1
            left -= 1
    return parts


def portions(
    cores: int, wants: Mapping[Whose, Mapping[Which, int]], most: Mapping[Whose, int], turn: int = 0
) -> dict[Which, int]:
    """The cores of each session: equal parts for persons, however many sessions they have; then equal parts within.

    `wants` is by person and session, in cores. `most` is for persons who may have so many at a time only. Each person
    who wants any has one at least, also where more persons than cores want some: then their tasks share the
    processors as the system lets them, and nobody waits until another's long task has ended.
    """
    wanted = {who: min(sum(theirs.values()), most.get(who, cores)) for who, theirs in wants.items()}
    wanting = sum(each > 0 for each in wanted.values())
    parts = divided(max(cores, wanting), wanted, turn)
    return {which: part for who, theirs in wants.items() for which, part in divided(parts[who], theirs, turn).items()}


def has_room(sessions: Mapping[Whose, int], who: Whose) -> bool:
    """Whether that person may have one session more, when each has so many."""
    own = sessions.get(who, 0)
    if own == 0:
        return sum(each > 0 for each in sessions.values()) < MOST_PERSONS
    return own < MOST_OF_ONE and sum(sessions.values()) < MOST_SESSIONS
