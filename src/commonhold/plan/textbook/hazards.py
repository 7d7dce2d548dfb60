"""What can be stolen or broken in either shape, and in the textbook's network; the claims about that. *Pure*; exact.

Three networks with the same people and files: the naive one, in which everybody has everybody's password and may
change everything; peers, each of whom lets three others change a folder; and a server, where the same people may
change the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from commonhold.authority.authority import Verb
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.accidents import Harm, Mistake, harms, mean
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.reach.imagined import Imagined, imagined_commons
from commonhold.plan.textbook.claim import TriedClaim, result
from commonhold.plan.values.amounts import counted

SIZE = 10  # computers
SIZES = (4, 8, 12)
CLEARLY = 1.1  # times: less is no difference that a model of so few people could show
COLLEAGUES = 3
NAIVE, PEERS, SERVER = "in the naive network", "among peers", "with a server"


class Theft(NamedTuple):
    """What one stolen key of a network destroys, of all files."""

    mean: float
    worst: float  # key or computer
    all_powerful: int  # keys that destroy all
    places: float  # at which a stolen key has to be shut out, on average, where no guard's removal does it


@cache
def networks(computers: int) -> dict[str, Exposure]:
    """By name."""
    return {
        NAIVE: Imagined(computers=computers, letting="trusting", verb=Verb.WRITE, one_password=True).exposure(),
        PEERS: _invited(Shape.PEER_TO_PEER, computers),
        SERVER: _invited(Shape.CLIENT_SERVER, computers),
    }


def theft(found: Exposure) -> Theft:
    keys = found.of("key")
    return Theft(
        sum(each.destroy for each in keys) / len(keys),
        max(each.destroy for each in found.rows),
        sum(each.destroy == 1.0 for each in keys),
        sum(each.computers for each in keys) / len(keys),
    )


def more_secure() -> TriedClaim:
    """Confirmed for a network of peers if with a server a stolen key destroys less, on average and at worst."""
    found = {name: theft(each) for name, each in networks(SIZE).items()}
    server = found[SERVER]
    held = [
        bar
        for name in (NAIVE, PEERS)
        for bar in (CLEARLY * server.mean < found[name].mean, CLEARLY * server.worst < found[name].worst)
    ]
    told = [
        f"{name} {each.mean:.0%} of all files on average, {each.worst:.0%} at worst"
        f" ({counted(each.all_powerful, 'key does', 'keys do')} so much)"
        for name, each in found.items()
    ]
    return TriedClaim(
        1,
        "A server is more secure.",
        result(held),
        f"With {SIZE} computers one stolen key destroys {'; '.join(told)}. One removal shuts it out, at a guard or the"
        f" server; {NAIVE}, which has neither, one at each of {found[NAIVE].places:.0f} computers.",
        {f"{name}, {what}": value for name, each in found.items() for what, value in each._asdict().items()},
    )


def breaking() -> TriedClaim:
    """Confirmed for a kind of mistake if it hurts clearly more others among peers: the naive ones, and ours."""
    found = {
        NAIVE: harms(imagined_commons(Shape.PEER_TO_PEER, SIZE, naive=True)),
        PEERS: harms(imagined_commons(Shape.PEER_TO_PEER, SIZE)),
        SERVER: harms(imagined_commons(Shape.CLIENT_SERVER, SIZE)),
    }
    server = found[SERVER]
    held = [each.hurt > CLEARLY * server[kind].hurt for name in (NAIVE, PEERS) for kind, each in found[name].items()]
    told = [f"who {kind} {_each(found, kind)}" for kind in Mistake]
    lost = ", ".join(f"{mean(each.values()).minutes:.0f} {name}" for name, each in found.items())
    return TriedClaim(
        6,
        "Among peers there is more chance of breaking by accident what somebody else needs.",
        result(held),
        f"So many others are hurt, of {SIZE} people, on average (at worst) {', '.join(found)}, by somebody"
        f" {'; '.join(told)}. Minutes that all others lose by a mistake: {lost}.",
        {f"{name}, {kind}, others hurt": each[kind].hurt for name, each in found.items() for kind in Mistake},
    )


def more_with_each() -> TriedClaim:
    """Confirmed for a network of peers if what is lost, when each key is stolen as likely, grows half as fast as it."""
    losses = {size: {name: lost(each) for name, each in networks(size).items()} for size in SIZES}
    first, last = losses[SIZES[0]], losses[SIZES[-1]]
    half_as_fast = 1 + (SIZES[-1] / SIZES[0] - 1) / 2
    told = [f"{name} {', '.join(f'{losses[size][name]:.1%}' for size in SIZES)}" for name in first]
    return TriedClaim(
        11,
        "Everybody's master key becomes more of a problem with each client.",
        result([last[name] >= half_as_fast * first[name] for name in (NAIVE, PEERS)]),
        f"If one key in a hundred is stolen, so much of all files is destroyed with {', '.join(map(str, SIZES))}"
        f" computers: {'; '.join(told)}.",
        {f"{name}, {size} computers": losses[size][name] for size in SIZES for name in first},
    )


def _invited(shape: Shape, computers: int) -> Exposure:
    return Imagined(shape, computers, "invited", COLLEAGUES, Verb.WRITE).exposure()


def lost(found: Exposure) -> float:
    """Part of all files that is destroyed when one key in a hundred is stolen, each as likely."""
    return sum(each.destroy for each in found.of("key")) / 100


def _each(found: Mapping[str, Mapping[Mistake, Harm]], kind: Mistake) -> str:
    return ", ".join(f"{each[kind].hurt:.1f} ({each[kind].most:.0f})" for each in found.values())
