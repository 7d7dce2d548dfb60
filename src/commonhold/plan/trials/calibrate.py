"""From a comparison to demands, and from these to what other numbers of people will meet, in both shapes. *Pure*.

One calibration for a workload: one person alone, and one point at which something is busy all the time, at the server.
There a demand is utilisation divided by throughput (Denning and Buzen 1978); what one person waits beyond all demands
nobody else delays, and where one person waits less, parts of a request pass at the same time. Processors are shared by
whoever is there, so that the order of service changes no mean (Baskett, Chandy, Muntz and Palacios 1975). On a link
what comes later waits behind what is being sent: small answers behind large files. It has two directions, and files go
one way. Where one machine plays all computers and nothing holds their processors, its own are one station for all that
requests need at both ends, its network in between, too. Seconds and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, exp, pi, sqrt
from typing import NamedTuple

import msgspec

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import Station, loads
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.workload import Operation, named
from commonhold.plan.trials.trial import Arrangement, Circumstances, Point, Repeat, Trial

SATURATED = 0.9  # utilisation from which a demand is certain
FILES = frozenset({"read", "write"})  # whose sizes are spread
SPREAD = 1.5  # shape of the gamma distribution of their sizes (filebench's)
PARTS = ("processor", "disk", "link")
RETURNED = 5  # a task gives back one of so many bytes of its file


class Calibration(msgspec.Struct, frozen=True):
    """What a mean request needs at an ordinary computer that serves it alone.

    `processor`: seconds of a core; of the machine's, at both ends, where computers share them. `disk`: seconds of it.
    `per_byte`: seconds of a link, in the direction in which a file goes. `fixed`: seconds that nobody delays; negative
    where parts of a request pass at the same time. `machine`: where computers are held to parts of the processors of
    the one machine that plays them all, seconds for which a request keeps all of these busy; 0: nobody looked.
    `people`: of the saturated point, whose busiest part was `busy`.
    """

    processor: float
    disk: float
    per_byte: float
    fixed: float
    people: int
    busy: float
    machine: float = 0.0


class Askers(NamedTuple):
    """So many people who ask the same computers: which part of their requests goes to one, and how many are like it."""

    people: int
    asked: tuple[tuple[float, int], ...]


class Foreseen(NamedTuple):
    throughput: float
    response: float


def operations(said: Circumstances) -> tuple[Operation, ...]:
    """Of a comparison; tasks shrink with thinking, as they did in it. Raises WrongUsage for an unknown one."""
    workload = named(said.workload)
    scale = said.think / workload.think
    return tuple(each._replace(seconds=each.seconds * scale) for each in workload.operations)


def directions(operation: Operation) -> tuple[float, float]:
    """Bytes that the computer that is asked sends, and receives."""
    if operation.kind == "write":
        return 0.0, operation.size
    if operation.kind == "compute":
        return operation.size / RETURNED, operation.size
    return operation.size, 0.0


def meant(mix: Sequence[Operation]) -> tuple[float, float]:
    """The same of a mean request."""
    sent = sum(each.part * directions(each)[0] for each in mix)
    return sent, sum(each.part * directions(each)[1] for each in mix)


def _busier(said: Circumstances, requests: float) -> float:
    """Which part of all bytes goes in the direction in which more go, in so many requests.

    Of few requests that is more than of all, since chance decides which direction it is: |A - B| of the bytes both
    ways is a folded normal distribution.
    """
    mix = operations(said)
    sent, received = meant(mix)
    if not sent + received:
        return 0.0
    apart = sent - received
    spread = 0.0
    for each in mix:
        varied = 1.0 + (1.0 / SPREAD if each.kind in FILES else 0.0)
        spread += each.part * varied * (directions(each)[0] - directions(each)[1]) ** 2
    deviation = sqrt(max(0.0, spread - apart**2) / requests)
    folded = abs(apart)
    if deviation:
        folded = deviation * sqrt(2 / pi) * exp(-(apart**2) / (2 * deviation**2)) + apart * erf(
            apart / (deviation * sqrt(2))
        )
    return 0.5 + folded / (sent + received) / 2


def chosen(trial: Trial) -> tuple[Point, Point]:
    """The two points that everything is calibrated with: one person, and the busiest server.

    Raises WrongUsage when the comparison has not both.
    """
    points = trial.of(Arrangement(Shape.CLIENT_SERVER))
    if not points or points[0].people != 1 or len(points) == 1:
        raise WrongUsage(
            "Models are calibrated with one person and with many at a server: this comparison has not both.",
            "commonhold compare tries both, unless --people says otherwise",
        )
    return points[0], max(points[1:], key=lambda point: (_utilisation(point.repeats), point.people))


def calibrate(said: Circumstances, alone: Sequence[Repeat], many: Sequence[Repeat], people: int) -> Calibration:
    """From repeats of one person, and repeats of `people`, at the same server."""
    rate, moved = _mean([each.throughput for each in many]), _mean([each.moved for each in many])
    busy = {part: _mean([getattr(each.served[0], part) for each in many]) for part in PARTS}
    work = _work(said, alone, many)
    one_way = moved * _busier(said, _mean([each.requests for each in many]))
    per_byte = busy["link"] / rate / one_way if one_way else 0.0
    cores = 1.0 if said.cores else processors(said, said.strength, people)[0]
    machine = 0.0 if said.cores or not _apart(alone, many) else _more(lambda each: each.machine, alone, many)
    times = {
        "processor": work / cores,
        "machine": machine,
        "disk": busy["disk"] / rate,
        "link": _mean([each.moved for each in alone]) * per_byte,
    }
    beside = _mean([each.mean for each in alone]) - sum(times.values())
    return Calibration(
        processor=work,
        disk=times["disk"] * said.strength,
        per_byte=per_byte * said.strength,
        fixed=max(beside, max(times.values()) - sum(times.values())),  # none of it passes faster than its longest part
        people=people,
        busy=max(busy.values()),
        machine=machine,
    )


def _work(said: Circumstances, alone: Sequence[Repeat], many: Sequence[Repeat]) -> float:
    """Seconds of a core that one request needs: the server's, or of the machine that played all computers."""
    if not said.cores:
        return _more(lambda each: each.served[0].processor, alone, many) * (said.power * said.strength or 1.0)
    if all(each.machine for each in (*alone, *many)):
        return said.cores * _more(lambda each: each.machine, alone, many)
    return said.cores * _more(lambda each: sum(one.processor for one in each.served), alone, many)


def _more(busy: Callable[[Repeat], float], alone: Sequence[Repeat], many: Sequence[Repeat]) -> float:
    """For how long a request keeps that busy: what one more of them a second adds.

    What there is to do whoever asks is so in neither. Where hardly more were answered that would divide chance by
    chance: then it is all there was.
    """
    fewer, rate = (_mean([each.throughput for each in repeats]) for repeats in (alone, many))
    less, most = (_mean([busy(each) for each in repeats]) for repeats in (alone, many))
    return (most - less) / (rate - fewer) if most > less and _apart(alone, many) else most / rate


def _apart(alone: Sequence[Repeat], many: Sequence[Repeat]) -> bool:
    """Whether many people were answered more than twice as often as one."""
    return _mean([each.throughput for each in many]) > 2 * _mean([each.throughput for each in alone])


def variations(mix: Sequence[Operation]) -> tuple[float, float]:
    """Of what the computer that is asked sends, and receives: variance of one size by its mean's square, 1 at least."""
    found = []
    for way in (0, 1):
        sizes = [(each.part, directions(each)[way], each.kind in FILES) for each in mix if directions(each)[way]]
        parts, mean = sum(part for part, _, _ in sizes), sum(part * size for part, size, _ in sizes)
        squares = sum(part * size**2 * (1 + spread / SPREAD) for part, size, spread in sizes)
        found.append(max(1.0, squares * parts / mean**2 - 1) if mean else 1.0)
    return found[0], found[1]


def processors(said: Circumstances, times: float, people: int) -> tuple[float, int]:
    """How many cores a task can use alone, and how many can be used at once, at a computer that has `times` as much."""
    if not said.power:
        return 1.0, people
    cores = said.power * times
    return min(1.0, cores), max(1, int(cores))


def groups(said: Circumstances, arrangement: Arrangement, people: int) -> list[Askers]:
    """Who asks whom. Files lie at all peers; a person's tasks are always computed by the same one."""
    if arrangement.shape is Shape.CLIENT_SERVER:
        return [Askers(people, ((1.0, 1),))]
    busiest = max(arrangement.hot, 1.0 / said.computers)
    others = said.computers - 1
    if all(each.kind != "compute" for each in operations(said)):
        rest = ((1 - busiest) / others, others) if busiest < 1 else (0.0, 0)
        return [Askers(people, ((busiest, 1), rest))]
    at_busiest = int(people * busiest)
    each, more = divmod(people - at_busiest, others)
    sizes = [at_busiest, *[each + 1] * more, *[each] * (others - more)]
    return [Askers(size, ((1.0, 1),)) for size in sizes if size]


def stations(said: Circumstances, known: Calibration, group: Askers, moved: float, server: bool) -> list[Station]:
    """What this group's requests wait at, when one moves so many bytes on average."""
    sent, received = meant(operations(said))
    faster = said.strength if server else 1.0
    scale = moved / (sent + received) * known.per_byte / faster if sent + received else 0.0
    share, servers = processors(said, faster, group.people)
    going, coming = variations(operations(said))
    here = [
        station
        for part, copies in group.asked
        for station in (
            Station("processor", 0.0 if said.cores else known.processor / share * part, servers, copies),
            Station("disk", known.disk / faster * part, 1, copies),
            Station("link out", sent * scale * part, 1, copies, going),
            Station("link in", received * scale * part, 1, copies, coming),
        )
        if copies
    ]
    machine = Station("machine", known.processor, said.cores) if said.cores else Station("machine", known.machine)
    return [*here, machine]


def expect(
    said: Circumstances, known: Calibration, arrangement: Arrangement, point: tuple[int, float, float]
) -> Foreseen:
    """By mean value analysis, for a number of people, what they thought, and bytes a request moved."""
    people, think, moved = point
    throughput = inside = 0.0
    for group in groups(said, arrangement, people):
        here = stations(said, known, group, moved, arrangement.shape is Shape.CLIENT_SERVER)
        (load,) = loads(here, [group.people], away(think, known))
        throughput += load.throughput
        inside += load.throughput * (load.response + known.fixed)
    return Foreseen(throughput, inside / throughput)


def away(think: float, known: Calibration) -> float:
    """Seconds between two requests of a person in which nothing is asked for that others could delay."""
    return max(0.0, think + known.fixed)


def _utilisation(repeats: Sequence[Repeat]) -> float:
    return max(_mean([getattr(each.served[0], part) for each in repeats]) for part in PARTS)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
