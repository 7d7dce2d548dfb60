"""The textbook's rules of thumb, tried over many networks that are only thought of. *Pure.*

Whether a server is dearer, whether small networks are better off among peers and large ones with a server: for each of
a grid of networks, what `advise` says of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from commonhold.plan.advise import EITHER, Again, judge
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.workload import WORKLOADS
from commonhold.plan.textbook.chores import effort
from commonhold.plan.textbook.claim import Result, TriedClaim, result
from commonhold.plan.values.amounts import more
from commonhold.plan.values.cost import difference
from commonhold.plan.values.scenario import Scenario, told

FEW, MANY = (2, 3, 5), (25, 50, 100)
SIZES = (3, 5, 10, 25, 50)
MOST = 0.8  # of the networks of a grid: less is no rule
GRID: Mapping[str, Sequence[float]] = {"hot": (0.2, 0.6), "strength": (1, 4), "link": (100, 1000)}


def profiles(computers: Sequence[int], strict: bool = False) -> Iterator[Scenario]:
    """One for each workload, size, part at the busiest computer, strength of a server, and link."""
    for workload, number in product(WORKLOADS, computers):
        for values in product(*GRID.values()):
            numbers = {"computers": number, "strict": float(strict)} | dict(zip(GRID, values, strict=True))
            yield Scenario(told(numbers), workload)


def shares(found: Sequence[Scenario], chance: Again) -> dict[str, float]:
    """Which part of them is advised what."""
    counted = Counter(str(judge(each, chance).verdict) for each in found)
    return {verdict: counted[verdict] / len(found) for verdict in (*map(str, Shape), EITHER)}


def small(chance: Again) -> TriedClaim:
    """Confirmed if peer-to-peer is advised for eight in ten networks of at most five computers; refuted below two."""
    found = shares(list(profiles(FEW)), chance)
    part = found[Shape.PEER_TO_PEER]
    return TriedClaim(
        9,
        "A home or a small office with few clients is better off among peers.",
        _of_part(part),
        f"Of networks of {FEW[0]} to {FEW[-1]} computers, {_listed(found)}.",
        found,
    )


def large(chance: Again) -> TriedClaim:
    """Confirmed if client-server is advised for eight in ten networks of 25 computers and more, and of strict ones."""
    found, strict = shares(list(profiles(MANY)), chance), shares(list(profiles(FEW, strict=True)), chance)
    parts = [each[Shape.CLIENT_SERVER] for each in (found, strict)]
    return TriedClaim(
        10,
        "A large network, or one that needs more security, is better off with a server.",
        result([part >= MOST for part in parts]),
        f"Of networks of {MANY[0]} to {MANY[-1]} computers, {_listed(found)}; where one place must be able to shut"
        f" anybody out, {parts[1]:.0%} {Shape.CLIENT_SERVER}.",
        found | {"client-server, strict": parts[1]},
    )


def dearer(scenario: Scenario, chance: Again) -> TriedClaim:
    """Confirmed for a size if a server is dearer in nine of ten cases of what is uncertain."""
    sizes = sorted({*SIZES, int(scenario["computers"])})
    found = {size: difference(_of_size(scenario, size), chance()) for size in sizes}
    told = [f"with {size} computers {more(spread)}" for size, spread in found.items()]
    return TriedClaim(
        7,
        "A server costs more.",
        result([spread.low > 0 for spread in found.values()]),
        f"In {scenario['years']:.0f} years a server costs, {'; '.join(told)}.",
        {f"{size} computers, money more": spread.middle for size, spread in found.items()},
    )


def professionals() -> TriedClaim:
    """Confirmed for a size if a server asks for more commands in the same twelve tasks."""
    server, peers = ([effort(shape, size) for size in SIZES] for shape in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER))
    told = [
        f"{size} computers {one.commands} with a server ({one.decisions} decisions), {other.commands} among peers"
        f" ({other.decisions})"
        for size, one, other in zip(SIZES, server, peers, strict=True)
    ]
    return TriedClaim(
        8,
        "A server needs professionals.",
        result([one.commands > other.commands for one, other in zip(server, peers, strict=True)]),
        f"Twelve tasks, from founding the network to a person who leaves, take so many commands: {'; '.join(told)}.",
        {
            f"{size} computers, {name}": each.commands
            for name, efforts in (("server", server), ("peers", peers))
            for size, each in zip(SIZES, efforts, strict=True)
        },
    )


def _of_size(scenario: Scenario, size: int) -> Scenario:
    return scenario.but(computers=size, people=size)


def _of_part(part: float) -> Result:
    return "confirmed" if part >= MOST else "refuted" if part <= 1 - MOST else "depends"


def _listed(found: Mapping[str, float]) -> str:
    return ", ".join(f"{part:.0%} {verdict}" for verdict, part in found.items())
