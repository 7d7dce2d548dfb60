"""What keeping a network asks of its people: twelve tasks, and every command that each takes, in both shapes. *Pure.*

A test parses each line, and another one carries all of them out. Words in capitals are what has to be decided or
known; a code is copied from one screen to the other.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from commonhold.plan.queues.shapes import Shape

_DECIDED = re.compile(r"\b(?!CODE\b)[A-Z]{2,}\b")


class ChoreStep(NamedTuple):
    """One command; `everywhere`: at every computer, by its owner, each of whom keeps rules of their own."""

    line: str
    everywhere: bool = False

    @property
    def decisions(self) -> int:
        return len(_DECIDED.findall(self.line))

    def times(self, computers: int) -> int:
        return computers if self.everywhere else 1


class Chore(NamedTuple):
    """A task, and what is typed for it."""

    name: str
    peers: tuple[ChoreStep, ...]
    server: tuple[ChoreStep, ...]

    def steps(self, shape: Shape) -> tuple[ChoreStep, ...]:
        return self.server if shape is Shape.CLIENT_SERVER else self.peers


class Effort(NamedTuple):
    """What all chores, once each, take."""

    commands: int
    decisions: int


def _same(name: str, *lines: str) -> Chore:
    steps = tuple(map(ChoreStep, lines))
    return Chore(name, steps, steps)


def _everywhere(name: str, line: str) -> Chore:
    return Chore(name, (ChoreStep(line, everywhere=True),), (ChoreStep(line),))


CHORES = (
    Chore(
        "begin",
        (ChoreStep("commonhold create NETWORK"),),
        (ChoreStep("commonhold create NETWORK --shape client-server"),),
    ),
    _same("a new computer", "commonhold invite --yes", "commonhold join CODE"),
    Chore(  # among peers people are known by their computers
        "a new person",
        (ChoreStep("commonhold invite --yes"), ChoreStep("commonhold join CODE --person PERSON")),
        (ChoreStep("commonhold person add PERSON"),),
    ),
    Chore("a forgotten password", (), (ChoreStep("commonhold person passwd PERSON"),)),
    _same("a new share for everybody", "commonhold share FOLDER --to members"),
    _everywhere("a person into a group", "commonhold group add GROUP PERSON"),
    _everywhere("processors for everybody", "commonhold allow members run compute"),
    _same("a file deleted by mistake", "commonhold restore REMOTE"),
    Chore(  # what others did is taken back by the owner of the share
        "all that somebody did since noon",
        (ChoreStep("commonhold undo --person PERSON --since TIME REMOTE", everywhere=True),),
        (ChoreStep("commonhold undo --person PERSON --since TIME"),),
    ),
    _same(  # of which a copy is kept in another share
        "a new disk in the place of a broken one",
        "commonhold unshare SHARE",
        "commonhold get -r REMOTE FOLDER",
        "commonhold share FOLDER --name SHARE --to members",
    ),
    _same("a lost laptop", "commonhold remove COMPUTER --yes"),
    _same("a person leaves", "commonhold remove PERSON --yes"),
)


def effort(shape: Shape, computers: int) -> Effort:
    """For a network of so many computers, each with an owner of its own."""
    steps = [(step, step.times(computers)) for chore in CHORES for step in chore.steps(shape)]
    return Effort(sum(times for _, times in steps), sum(step.decisions * times for step, times in steps))
