"""What each person of a workload asks, one request after the other, the same in both shapes but for where. *Pure.*

Nobody sits at computer 0: it is the server, or among peers the busiest one, so that the same people at the same desks
ask in both shapes. Nobody is sent to their own computer either: such a request would cross no link.

Sizes are drawn as filebench draws them, gamma around their mean with a shape of 1.5; thinking is exponential.
Seconds and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple, Protocol

import msgspec

from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.simulate import exponential
from commonhold.plan.queues.workload import Operation, Workload
from commonhold.plan.trials.trial import Arrangement

GAMMA = 1.5  # filebench's default
FEWEST = 2  # computers that are asked
PREPARED = 48_000_000  # bytes of files that are read, at one computer and of one kind of reading
FEW, MANY = 4, 32  # of them
LISTED = 400  # bytes that a listing has for each file
SLOTS = 4  # files that a person stores over and over, of one kind of storing
STORED = "stored"  # the folder for them


class Drawing(Protocol):
    """What random.Random(seed) is, and knows of the gamma distribution."""

    def random(self) -> float: ...

    def gammavariate(self, alpha: float, beta: float) -> float: ...


Seeded = Callable[[str], Drawing]  # the same text, the same chance


class Request(NamedTuple):
    """One request: thought about for so long, then asked of a computer, by its number."""

    think: float
    kind: Literal["read", "write", "list", "compute"]
    where: int
    path: str  # in the share; of a task nothing
    size: int  # bytes of what is read, listed, stored, or computed on
    seconds: float = 0.0  # that a task computes, of a whole core


class Script(msgspec.Struct, frozen=True):
    """What all people of one repeat have in common."""

    operations: tuple[Operation, ...]
    think: float  # mean
    seed: int
    repeat: int
    computers: int
    arrangement: Arrangement

    @property
    def hot(self) -> float:
        """The part of computer 0: all of a server, at least an equal part of a peer."""
        if self.arrangement.shape is Shape.CLIENT_SERVER:
            return 1.0
        return max(self.arrangement.hot, 1.0 / self.computers)


def scaled(workload: Workload, think: float) -> Workload:
    """The workload of people who think so long. Tasks shrink with it: else a computer that is asked more often would

    never end; files stay what they are.
    """
    scale = think / workload.think
    operations = tuple(each._replace(seconds=each.seconds * scale) for each in workload.operations)
    return workload._replace(think=think, operations=operations)


def seat(person: int, computers: int) -> int:
    """At which computer this person sits: one after the other, several where there are more people than desks."""
    return 1 + person % (computers - 1)


def prepared(operations: tuple[Operation, ...], seed: int, seeded: Seeded) -> dict[str, int]:
    """The files that must be there before anybody asks, with their sizes: the same at every computer that serves."""
    files: dict[str, int] = {}
    for number, operation in enumerate(operations):
        if operation.kind == "read":
            dice = seeded(f"{seed} files {number}")
            many = max(FEW, min(MANY, PREPARED // operation.size))
            drawn = [dice.gammavariate(GAMMA, 1.0) for _ in range(many)]
            scale = operation.size * many / sum(drawn)  # so many files must have the mean that is meant
            files |= {f"read-{number}/{which}": max(1, round(each * scale)) for which, each in enumerate(drawn)}
        elif operation.kind == "list":
            files |= {f"list-{number}/{which:04}": 0 for which in range(max(1, operation.size // LISTED))}
    return files


def requests(script: Script, person: int, seeded: Seeded) -> Iterator[Request]:
    """Without end. Raises WrongUsage for a single computer."""
    if script.computers < FEWEST:
        raise WrongUsage("With one computer there is nothing to compare.", f"{FEWEST} at least")
    files = prepared(script.operations, script.seed, seeded)
    dice, whither = (
        seeded(f"{script.seed} {script.repeat} asks {person}"),
        seeded(f"{script.seed} {script.repeat} goes {person}"),
    )
    think = exponential(script.think, dice) if script.think else float
    sums = list(accumulate(each.part for each in script.operations))
    stored = 0
    while True:
        seconds, drawn = think(), dice.random() * sums[-1]
        number = next(which for which, most in enumerate(sums) if drawn < most)
        operation = script.operations[number]
        where, path, size = goes(script, person, whither.random()), "", operation.size
        if operation.kind == "read":
            many = sum(each.startswith(f"read-{number}/") for each in files)
            path = f"read-{number}/{int(dice.random() * many)}"
            size = files[path]
        elif operation.kind == "write":
            stored += 1
            path = f"{STORED}/{person}-{stored % SLOTS}"
            size = max(1, round(dice.gammavariate(GAMMA, operation.size / GAMMA)))
        elif operation.kind == "list":
            path = f"list-{number}"
        else:
            where = lender(script, person)
        yield Request(seconds, operation.kind, where, path, size, operation.seconds)


def goes(script: Script, person: int, drawn: float) -> int:
    """To which computer: a number from 0 to 1 was drawn for it."""
    own = seat(person, script.computers)
    others = [each for each in range(1, script.computers) if each != own] or [own]
    if drawn < script.hot:
        return 0
    return others[min(int((drawn - script.hot) / (1.0 - script.hot) * len(others)), len(others) - 1)]


def lender(script: Script, person: int) -> int:
    """Who computes for this person, always the same: a session at every computer for each person would fill all memory.

    Of all people the part `hot` uses computer 0, and each other one the next desk's.
    """
    if int((person + 1) * script.hot) > int(person * script.hot):
        return 0
    return seat(seat(person, script.computers), script.computers)
