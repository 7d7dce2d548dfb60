"""What a comparison measured, beside what is computed, as charts. *Pure*: chance is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from operator import attrgetter
from typing import NamedTuple

from commonhold.errors import WrongUsage
from commonhold.plan.pages.curves import Spot, calibrated, computed
from commonhold.plan.pages.sheets import Cell, Chart, Column, sheet
from commonhold.plan.queues.queueing import knee
from commonhold.plan.queues.shapes import Fleet, Shape, predict, simulate, slowdown, stations
from commonhold.plan.queues.simulate import Chance
from commonhold.plan.queues.workload import Demands
from commonhold.plan.trials.calibrate import Calibration, calibrate, chosen
from commonhold.plan.trials.trial import Arrangement, Band, Circumstances, Point, Repeat, Served, Trial, band
from commonhold.plan.values.scenario import Scenario

REQUESTS = 6_000  # of a simulation: its 95th percentile is within a few in a hundred
STEPS = 24  # numbers of people that are computed, beside those that were measured
BEYOND = 1.25  # times the largest number of people that was measured
MEGA = 1e6
P95 = attrgetter("p95")
SPREAD = ("throughput", "mean", "p50", "p95", "p99", "think", "moved")
BANDS = "Bars: where the true mean lies in 95 of 100 such trials."


class Compared(NamedTuple):
    """What one set of pictures is about: arrangements with what the models take for each, and points, if any."""

    fleets: dict[Arrangement, Fleet]
    points: tuple[Point, ...]
    people: int  # up to so many
    mark: str = ""  # at the end of the charts' names: there may be several sets
    known: tuple[Circumstances, Calibration] | None = None  # else the fleets are all that is known

    def spots(self, arrangement: Arrangement) -> list[Spot]:
        """What is computed of one arrangement."""
        if self.known:
            return calibrated(*self.known, arrangement, self.of(arrangement), self.grid)
        return computed(self.fleets[arrangement], arrangement.shape, self.grid)

    def of(self, arrangement: Arrangement) -> list[Point]:
        found = [each for each in self.points if each.arrangement == arrangement]
        return sorted(found, key=lambda each: each.people)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(named(each) for each in self.fleets)

    @property
    def grid(self) -> list[int]:
        """Numbers of people that are computed."""
        most = self.people
        steps = {max(1, round(most * step / STEPS)) for step in range(STEPS + 1)}
        return sorted(steps | {each.people for each in self.points})


def compared(scenario: Scenario, trial: Trial | None = None, mark: str = "") -> Compared:
    """Both shapes of a scenario, or what a trial compared, as the scenario has it."""
    fleet = scenario.fleet()
    if trial is None:
        both = [Arrangement(Shape.CLIENT_SERVER), Arrangement(Shape.PEER_TO_PEER, fleet.hot)]
        people = scenario["people"]
        knees = [knee(stations(fleet, each.shape), fleet.think) for each in both]
        return Compared(
            dict.fromkeys(both, fleet), (), round(max(10, 2 * people, min(10 * people, 1.3 * min(knees)))), mark
        )
    most = max(each.people for each in trial.points)
    power = trial.circumstances.power
    ordered = sorted(trial.arrangements, key=lambda each: (each.shape, each.naive, each.hot))
    fleets = {each: fitted(fleet, each, trial.of(each)[0], power)._replace(hot=each.hot) for each in ordered}
    return Compared(fleets, trial.points, max(2, round(most * BEYOND)), mark, _calibrated(trial))


def _calibrated(trial: Trial) -> tuple[Circumstances, Calibration] | None:
    """None for a comparison with which models cannot be calibrated, or in which nobody saw how busy the server was."""
    repeats = [each for point in trial.of(Arrangement(Shape.CLIENT_SERVER)) for each in point.repeats]
    if not all(each.requests and each.served for each in repeats):
        return None
    try:
        alone, many = chosen(trial)
        known = calibrate(trial.circumstances, alone.repeats, many.repeats, many.people)
    except WrongUsage:
        return None
    return (trial.circumstances, known) if known.busy else None


def fitted(fleet: Fleet, arrangement: Arrangement, point: Point, power: float) -> Fleet:
    """The fleet with the demands and the thought that a point showed, best the one with the fewest people.

    Demand is the busy time of a request: utilisation by time, divided by requests (Denning and Buzen 1978), of an
    ordinary computer, whose processors had the `power` of so many cores; 0: they were not held, and busy parts are of
    one core. Unchanged where nothing was asked, or nobody saw how busy computers were.
    """
    requests = sum(each.requests for each in point.repeats)
    if not requests:
        return fleet
    faster = fleet.strength if arrangement.shape is Shape.CLIENT_SERVER else 1.0
    processor, disk, link = (
        faster
        * sum(getattr(each, name) * repeat.seconds for repeat in point.repeats for each in repeat.served)
        / requests
        for name in ("processor", "disk", "link")
    )
    if not processor + disk + link:
        return fleet
    processor *= max(1.0, power)
    task = bool(fleet.demands.computing)
    demands = Demands(0.0 if task else processor, disk, link, processor if task else 0.0)
    return fleet._replace(demands=demands, think=point.band(attrgetter("think")).mean)


def named(arrangement: Arrangement) -> str:
    """
    >>> named(Arrangement(Shape.PEER_TO_PEER, 0.5)), named(Arrangement(Shape.CLIENT_SERVER))
    ('peer-to-peer, 50 % at one', 'client-server')
    """
    who = "naive network" if arrangement.naive else str(arrangement.shape)
    if arrangement.hot:
        return f"{who}, {arrangement.hot * 100:.0f} % at one"
    return who if arrangement.shape is Shape.CLIENT_SERVER else f"{who}, even"


def counted(people: int) -> str:
    """
    >>> counted(1), counted(2)
    ('one person', '2 people')
    """
    return "one person" if people == 1 else f"{people} people"


def performance(about: Compared, chance: Callable[[], Chance]) -> Iterator[Chart]:
    """Throughput and response with their bounds, 95th percentiles, and how long owners wait."""
    yield _bounded(about, "throughput", "requests/s", attrgetter("throughput"))
    yield _bounded(about, "response", "s", attrgetter("mean"))
    yield _percentiles(about, chance)
    yield _owners(about)


def shares(about: Compared) -> Iterator[Chart]:
    """What each computer did, with the most people of each arrangement. Nothing where nobody saw it."""
    if not any(each.bytes for point in about.points for repeat in point.repeats for each in repeat.served):
        return
    busy: list[list[Cell]] = []
    served: list[list[Cell]] = []
    for arrangement in about.fleets:
        point = about.of(arrangement)[-1]
        for computer, found in _by_computer(point).items():
            parts = [_mean(found, of) for of in map(attrgetter, ("processor", "disk", "link"))]
            busy.append([named(arrangement), computer, *parts])
            served.append([named(arrangement), computer, _mean(found, attrgetter("bytes")) / MEGA])
    most = ", ".join(f"{named(each)} with {counted(about.of(each)[-1].people)}" for each in about.fleets)
    part = [Column("arrangement"), Column("computer"), Column("processor"), Column("disk"), Column("link")]
    yield Chart(
        f"utilisation{about.mark}",
        "How busy each computer was",
        f"Part of the time for which processor, disk and link worked, on average over the repeats: {most}.",
        "marks",
        sheet(part, busy),
        about.groups,
        _busiest(busy),
    )
    yield Chart(
        f"served{about.mark}",
        "What each computer served",
        f"Bytes that each computer sent to others in one repeat, on average: {most}.",
        "bars",
        sheet([Column("arrangement"), Column("computer"), Column("served", "MB a repeat")], served),
        about.groups,
        "Bars of the bytes that each computer served, one panel for each arrangement.",
    )


def every_point(about: Compared) -> Chart:
    """All that was measured, in one table, beside what is computed."""
    columns = [Column("arrangement"), Column("people"), Column("repeats"), Column("requests"), Column("errors")]
    columns += [Column("throughput", "requests/s"), *(Column(name, "s") for name in ("mean", "p50", "p95", "p99"))]
    columns += [Column("thought", "s"), Column("moved", "bytes a request")]
    columns += [Column("computed throughput off by", "%"), Column("computed mean off by", "%")]
    rows: list[list[Cell]] = []
    for arrangement in about.fleets:
        spots = {spot.people: spot for spot in about.spots(arrangement)}
        for point in about.of(arrangement):
            sums = [sum(map(attrgetter(name), point.repeats)) for name in ("requests", "errors")]
            means = [point.band(attrgetter(name)).mean for name in SPREAD]
            spot = spots[point.people]
            off = [_off(spot.throughput[0], means[0]), _off(spot.response[0], means[1])]
            rows.append([named(arrangement), point.people, len(point.repeats), *sums, *means, *off])
    caption = (
        f"Requests and errors of all repeats together; the rest are means of the repeats. Computed{_from_what(about)}."
    )
    return Chart(f"points{about.mark}", "Every point", caption, "table", sheet(columns, rows))


def _off(computed: float, measured: float) -> float | None:
    return round(100 * (computed / measured - 1), 1) if measured else None


def _bounded(about: Compared, what: str, unit: str, of: Callable[[Repeat], float]) -> Chart:
    names = ("measured", "low", "high", "computed", "at least", "at most")
    columns = [
        Column("arrangement"),
        Column("people"),
        *(Column(name, unit) for name in names),
        Column("knee", "people"),
    ]
    rows: list[list[Cell]] = []
    for arrangement in about.fleets:
        measured = {point.people: point.band(of) for point in about.of(arrangement)}
        for spot in about.spots(arrangement):
            found = spot.throughput if what == "throughput" else spot.response
            rows.append([named(arrangement), spot.people, *_cells(measured.get(spot.people)), *found, spot.knee])
    caption = (
        f"Line: computed{_from_what(about)}. Dotted: bounds that nothing can leave. Upright: the knee N*, from which on"
        " people wait for one another."
    )
    return Chart(
        f"{what}{about.mark}",
        {"throughput": "Throughput by number of people", "response": "Mean response by number of people"}[what],
        f"Marks: measured. {BANDS} {caption}" if about.points else caption,
        "bounded",
        sheet(columns, rows),
        about.groups,
        _ends(f"{what} in {unit}", about, of),
    )


def _from_what(about: Compared) -> str:
    if about.known:
        return f" from what one person and {about.known[1].people} people needed of a server"
    fewest = min((point.people for point in about.points), default=0)
    return f", from how busy computers were with {counted(fewest)}" if fewest else ""


def _percentiles(about: Compared, chance: Callable[[], Chance]) -> Chart:
    columns = [Column("arrangement"), Column("people")]
    columns += [Column(name, "s") for name in ("measured", "low", "high", "simulated")]
    rows: list[list[Cell]] = []
    for arrangement, fleet in about.fleets.items():
        measured = {point.people: point.band(P95) for point in about.of(arrangement)}
        for people in list(measured) or about.grid[:: max(1, len(about.grid) // 8)]:
            found = simulate(fleet, arrangement.shape, people, chance(), max(REQUESTS, 20 * people))
            rows.append([named(arrangement), people, *_cells(measured.get(people)), found.percentiles(0.95)[0]])
    caption = "19 of 20 requests are answered sooner. Dashed: simulated, with exponential times."
    return Chart(
        f"p95{about.mark}",
        "95th percentile of the response",
        f"{caption} Marks: measured. {BANDS}" if about.points else caption,
        "curves",
        sheet(columns, rows),
        about.groups,
        _ends("95th percentile in s", about, P95),
    )


def _owners(about: Compared) -> Chart:
    columns = [Column("arrangement"), Column("people")]
    columns += [Column(name, "times") for name in ("measured", "low", "high", "computed, busiest", "measured, worst")]
    rows: list[list[Cell]] = []
    for arrangement, fleet in about.fleets.items():
        points = {point.people: point for point in about.of(arrangement)}
        for load in predict(fleet, arrangement.shape, list(points) or about.grid):
            seen, worst = _felt(points.get(load.people))
            rows.append(
                [named(arrangement), load.people, *_cells(seen), slowdown(fleet, arrangement.shape, load), worst]
            )
    caption = (
        "How many times as long a small task of a computer's owner takes while others are served; 1 is nothing felt."
        " Dashed: computed for the busiest computer's processor, if owners took turns with the others."
    )
    return Chart(
        f"owner{about.mark}",
        "What owners feel",
        f"{caption} Marks: mean of all computers. {BANDS}" if about.points else caption,
        "curves",
        sheet(columns, rows),
        about.groups,
        "How many times as long an owner's task takes, by number of people, one line for each arrangement.",
    )


def _felt(point: Point | None) -> tuple[Band | None, float | None]:
    """Owners' slowdown over all computers that tried it, and of the worst one."""
    if point is None:
        return None, None
    means = [[each.owner.slowdown for each in repeat.served if each.owner] for repeat in point.repeats]
    found = [sum(each) / len(each) for each in means if each]
    if not found:
        return None, None
    worst = [[each.owner.slowdown for each in served if each.owner] for served in _by_computer(point).values()]
    return band(found), max(sum(each) / len(each) for each in worst if each)


def _by_computer(point: Point) -> dict[str, list[Served]]:
    found: dict[str, list[Served]] = {}
    for repeat in point.repeats:
        for each in repeat.served:
            found.setdefault(each.computer, []).append(each)
    return found


def _cells(found: Band | None) -> list[Cell]:
    """Mean, low and high; a band without ends says nothing."""
    if found is None:
        return [None, None, None]
    return [found.mean, *(end if isfinite(end) else None for end in (found.low, found.high))]


def _mean(served: Sequence[Served], of: Callable[[Served], float]) -> float:
    return sum(of(each) for each in served) / len(served)


def _ends(what: str, about: Compared, of: Callable[[Repeat], float]) -> str:
    """The picture in words: where each arrangement ends."""
    said = []
    for arrangement, fleet in about.fleets.items():
        if points := about.of(arrangement):
            said.append(f"{named(arrangement)} {points[-1].band(of).mean:.3g} with {counted(points[-1].people)}")
        elif of is not P95:
            load = predict(fleet, arrangement.shape, [about.people])[0]
            value = load.throughput if what.startswith("throughput") else load.response
            said.append(f"{named(arrangement)} {value:.3g} with {counted(about.people)}, computed")
    return f"{what[0].upper()}{what[1:]} by number of people{': ' if said else ''}{'; '.join(said)}."


def _busiest(rows: Sequence[Sequence[Cell]]) -> str:
    found: dict[Cell, tuple[float, Cell]] = {}
    for group, computer, *parts in rows:
        most = max(each for each in parts if isinstance(each, float))
        found[group] = max(found.get(group, (-1.0, "")), (most, computer), key=lambda each: each[0])
    said = (f"{group}: {computer}, {most:.0%}" for group, (most, computer) in found.items())
    return f"The busiest computer of each arrangement: {'; '.join(said)}."
