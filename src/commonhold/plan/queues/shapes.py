"""Both shapes of one network as queues: where its people's requests go, and who waits for whom. *Pure.*

Two numbers decide more than how many computers there are: how large a part of the requests goes to the busiest one
(`hot`), and how many times as fast the server is as an ordinary computer (`strength`).
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import NamedTuple

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import Load, Station, loads
from commonhold.plan.queues.simulate import Absence, Chance, Draw, Facility, Route, Sample, closed, exponential
from commonhold.plan.queues.workload import Demands

PROCESSOR = "processor"


class Shape(StrEnum):
    PEER_TO_PEER = "peer-to-peer"
    CLIENT_SERVER = "client-server"


class Fleet(NamedTuple):
    """The computers, and what is asked of them. `hot` below an equal part means an equal part."""

    computers: int
    demands: Demands
    think: float
    cores: int = 1
    strength: float = 1.0
    hot: float = 0.0


def stations(fleet: Fleet, shape: Shape) -> list[Station]:
    """What requests wait at. The server's are faster by its strength; a peer's bear its part of the requests."""
    if shape is Shape.CLIENT_SERVER:
        return [*_of("server", fleet, 1.0 / fleet.strength), *_room(fleet, shape)]
    busiest, other = parts(fleet)
    others = _of("another computer", fleet, other, fleet.computers - 1) if fleet.computers > 1 else []
    return [*_of("busiest computer", fleet, busiest), *others, *_room(fleet, shape)]


def parts(fleet: Fleet) -> tuple[float, float]:
    """How large a part of the requests goes to the busiest peer, and to each of the others."""
    busiest = max(fleet.hot, 1.0 / fleet.computers)
    return busiest, (1.0 - busiest) / (fleet.computers - 1) if fleet.computers > 1 else 0.0


def predict(fleet: Fleet, shape: Shape, people: list[int]) -> list[Load]:
    """Mean values for each of these numbers of people."""
    return loads(stations(fleet, shape), people, fleet.think)


def respond(fleet: Fleet, shape: Shape, people: int) -> float:
    """Mean seconds from asking to answer."""
    return predict(fleet, shape, [people])[0].response


def slowdown(fleet: Fleet, shape: Shape, load: Load) -> float:
    """How many times as long the owner of the busiest peer waits for a processor that serves others as well.

    That is 1 for clients, who serve nobody. Serving files is no guest's work: it takes its turn like the owner's.
    """
    if shape is Shape.CLIENT_SERVER:
        return 1.0
    busy = load.utilisations[0]
    return 1.0 / (1.0 - busy) if busy < 1.0 else float("inf")


def simulate(
    fleet: Fleet,
    shape: Shape,
    people: int,
    chance: Chance,
    requests: int,
    *,
    asked: Absence | None = None,
    owner: Absence | None = None,
    patience: float = inf,
) -> Sample:
    """The same as an event simulation with exponential times, for percentiles.

    `asked`: when each computer that is asked is off; people wait for it as long as they have `patience`. `owner`: when
    a peer's owner needs all its processors: tasks begin anew at another one.
    """
    if requests < 1:
        raise WrongUsage("A simulation needs a request at least.")
    facilities, routes = _facilities(fleet, shape, chance)
    if asked:  # a request comes to a computer's processor first, and there it waits
        facilities = [each._replace(absence=asked) if each.name == PROCESSOR else each for each in facilities]
    if owner and fleet.demands.computing and shape is Shape.PEER_TO_PEER:
        facilities[-1] = facilities[-1]._replace(absence=owner, together=fleet.cores)
    think = _drawn(fleet.think, chance)
    return closed(facilities, routes, people, think, chance, requests=requests, patience=patience)


def _of(name: str, fleet: Fleet, part: float, copies: int = 1) -> list[Station]:
    demands = fleet.demands
    return [
        Station(f"{name}'s processor", demands.processor * part, fleet.cores, copies),
        Station(f"{name}'s disk", demands.disk * part, 1, copies),
        Station(f"{name}'s link", demands.link * part, 1, copies),
    ]


def _room(fleet: Fleet, shape: Shape) -> list[Station]:
    """Where tasks are computed: at the server, or on all processors together."""
    if not fleet.demands.computing:
        return []
    if shape is Shape.CLIENT_SERVER:
        return [Station("server's room for tasks", fleet.demands.computing / fleet.strength, fleet.cores)]
    return [Station("all computers' room for tasks", fleet.demands.computing, fleet.cores * fleet.computers)]


def _facilities(fleet: Fleet, shape: Shape, chance: Chance) -> tuple[list[Facility], list[Route]]:
    """Processor, disk and link of each computer in turn, then the room for tasks; a route for each computer."""
    if shape is Shape.CLIENT_SERVER:
        shares, faster = [1.0], 1.0 / fleet.strength
    else:
        busiest, other = parts(fleet)
        shares, faster = [busiest, *[other] * (fleet.computers - 1)], 1.0
    owned = [Station(PROCESSOR, 0.0, fleet.cores), Station("disk", 0.0), Station("link", 0.0)]
    whole = [*owned * len(shares), *_room(fleet, shape)]
    *here, room = [_drawn(seconds * faster, chance) for seconds in fleet.demands]
    tasks = [(len(whole) - 1, room)] if fleet.demands.computing else []
    routes = []
    for number, share in enumerate(shares):
        visits = [(len(here) * number + place, draw) for place, draw in enumerate(here)]
        routes.append(Route(share, (*visits, *tasks)))
    return [Facility(each.name, each.servers) for each in whole], routes


def _drawn(mean: float, chance: Chance) -> Draw:
    return exponential(mean, chance) if mean else _nothing


def _nothing() -> float:
    return 0.0
