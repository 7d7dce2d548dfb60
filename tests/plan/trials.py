"""A comparison that nobody measured: the simulator's, for whatever reads one."""

from __future__ import annotations

from datetime import date

from commonhold.plan import seeded
from commonhold.plan.queues.shapes import Fleet, Shape, parts, simulate
from commonhold.plan.queues.workload import Demands
from commonhold.plan.trials.trial import Arrangement, Circumstances, OwnerFelt, Point, Repeat, Served, Trial

SIZE = 250_000  # bytes of a request
DEMANDS = Demands(0.005, 0.003, 0.1)
EVEN, HOT = Arrangement(Shape.PEER_TO_PEER), Arrangement(Shape.PEER_TO_PEER, 0.5)
NAIVE, SERVER = Arrangement(Shape.PEER_TO_PEER, 0.0, True), Arrangement(Shape.CLIENT_SERVER)


def simulated(
    computers: int = 16,
    people: tuple[int, ...] = (1, 2, 4, 8, 12, 16),
    arrangements: tuple[Arrangement, ...] = (SERVER, EVEN, HOT, NAIVE),
    repeats: int = 5,
    names: tuple[str, ...] = (),
    requests: int = 300,
) -> Trial:
    """Requests of 100 ms of a link, as in a network of 20 Mbit/s, nearly all in one direction."""
    fleet = Fleet(computers, DEMANDS, 1.0)
    called = [*names, *(f"computer-{number:02d}" for number in range(len(names) + 1, computers + 1))]
    points = tuple(
        Point(each, n, tuple(_repeat(fleet, each, n, seed, called, requests) for seed in range(repeats)))
        for each in arrangements
        for n in people
    )
    circumstances = Circumstances(
        "media",
        computers,
        1.0,
        20,
        "namespaces",
        20.0,
        0.5,
        1.0,
        command="commonhold compare",
        machine="two cores",
        day=date(2026, 11, 30),
    )
    return Trial(circumstances, points, ("Simulated: no computer did this.",))


def _repeat(fleet: Fleet, how: Arrangement, people: int, seed: int, names: list[str], requests: int) -> Repeat:
    chance = seeded.chance(seed)
    run = simulate(fleet._replace(hot=how.hot), how.shape, people, chance, requests)
    p50, p95, p99 = run.percentiles(0.5, 0.95, 0.99)
    busiest, other = parts(fleet._replace(hot=how.hot))
    served = []
    for number, name in enumerate(names):
        share = busiest if number == 0 else other
        if how.shape is Shape.CLIENT_SERVER:
            share = 1.0 if number == 0 else 0.0
        busy = run.busy[3 * number : 3 * number + 3] if share else (0.0, 0.0, 0.0)
        felt = 0.05 * (1 + (2 if how.naive else 0.3) * busy[0] + 0.01 * chance.random())
        count = round(share * requests)
        served.append(Served(name, count, count * SIZE, *busy, OwnerFelt(0.05, felt, 2 * felt)))
    mean = sum(run.responses) / len(run.responses)
    return Repeat(seed, run.seconds, len(run.responses), 0, mean, p50, p95, p99, 1.0, float(SIZE), tuple(served))
