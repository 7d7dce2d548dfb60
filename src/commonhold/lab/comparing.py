"""One workload in both shapes, with the same seeds: point after point, each of several repeats, into a `Trial`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from math import inf
from random import Random
from statistics import median
from typing import NamedTuple, Protocol

import msgspec
import psutil

from commonhold.lab.crew import Crew, Workplace
from commonhold.plan.queues.shapes import Fleet, Shape, predict
from commonhold.plan.queues.workload import Demands, Rates, Workload, demands
from commonhold.plan.trials import outcome
from commonhold.plan.trials.script import Script, prepared
from commonhold.plan.trials.trial import Arrangement, Circumstances, Point, Repeat, Served, Trial

WARM = 1.0  # seconds at least that all ask before anything counts; and until each has had an answer
COLD = 60.0  # seconds at most
SPARE = 1.05  # more time than the rate so far needs: less than was asked for would have to be repeated
ENOUGH_REPEATS, ENOUGH_REQUESTS = 5, 300  # of a point
FULL = 0.9  # utilisation from which something is saturated
MORE = 1.05  # times as many answers for twice as many people, at least: else they only wait longer
CROWD = 8  # people for each computer, at most, in search of saturation
FOUNDING = 2.0  # seconds for each computer of a town, about
BETWEEN = 1.0  # seconds between two repeats, about: those who ask get their answers, those who think begin anew
MBIT = 1e6 / 8  # bytes/s
BUSY = (
    "This machine was itself busy all the time, and may have been what all waited for, instead of the link or the"
    " processor of one of its computers, in"
)


class Comparison(NamedTuple):
    """What is to be done. `people` rise; `saturate`: more people still, until something is busy all the time."""

    circumstances: Circumstances
    workload: Workload
    people: tuple[int, ...]
    arrangements: tuple[Arrangement, ...]
    repeats: int
    requests: int  # of each point, at least, in all repeats together
    shortest: float  # seconds of a repeat, at least
    saturate: bool

    def script(self, arrangement: Arrangement, repeat: int) -> Script:
        said = self.circumstances
        return Script(self.workload.operations, self.workload.think, said.seed, repeat, said.computers, arrangement)

    def files(self) -> dict[str, int]:
        """That people will look for."""
        return prepared(self.workload.operations, self.circumstances.seed, Random)

    @property
    def computes(self) -> bool:
        """Whether computers must lend their processors for it."""
        return any(each.kind == "compute" for each in self.workload.operations)


class Venue(Protocol):
    """Where it is played: a town on this machine, or a real network. A context manager; it leaves nothing."""

    warnings: list[str]

    @property
    def desks(self) -> Sequence[Workplace]:
        """Where people sit, from computer 1 on."""

    @property
    def places(self) -> Sequence[str]:
        """The folder that each computer shares, as `tower:files/`."""

    def watch(self) -> Callable[[], list[Served]]:
        """From now on; what it gives says what each computer has done since. Requests and bytes are not its matter."""


Venues = Callable[[Arrangement], AbstractContextManager[Venue]]


class Comparing:
    """A comparison under way. `trial` is what there is of it; after each point `save` gets it."""

    def __init__(
        self,
        wanted: Comparison,
        venues: Venues,
        begun: Trial | None,
        save: Callable[[Trial], object],
        tell: Callable[[str], object],
    ) -> None:
        self._wanted, self._venues, self._save, self._tell = wanted, venues, save, tell
        self.trial = begun or Trial(wanted.circumstances, ())

    def run(self) -> Trial:
        """Do what is missing. Arrangements of one shape share a venue: only where people ask differs."""
        missing = [each for each in self._wanted.arrangements if any(self._missing(each))]
        if missing and (self._wanted.repeats < ENOUGH_REPEATS or self._wanted.requests < ENOUGH_REQUESTS):
            self._warn(
                f"Each point has about {self._wanted.requests} requests in {self._wanted.repeats} repeats, which by"
                f" chance come out otherwise next time: figures that last need {ENOUGH_REQUESTS} in {ENOUGH_REPEATS}."
            )
        for _, alike in groupby(missing, key=lambda each: (each.shape, each.naive)):
            arrangements = list(alike)
            with self._venues(arrangements[0]) as venue, Crew(venue.desks, venue.places) as crew:
                self._warn(*venue.warnings)
                for arrangement in arrangements:
                    for people in self._missing(arrangement):
                        self._point(venue, crew, arrangement, people)
        return self.trial

    def _missing(self, arrangement: Arrangement) -> Iterator[int]:
        """Numbers of people that are not in the trial yet; looks again after each, since the last decides on more."""
        had = {point.people for point in self.trial.of(arrangement)}
        yield from (people for people in self._wanted.people if people not in had)
        while self._wanted.saturate:
            points = self.trial.of(arrangement)
            more = points[-1].people * 2
            most = CROWD * self._wanted.circumstances.computers
            if saturated(points) or more > most or self._was_busy(points[-1]):
                return
            yield more

    def _point(self, venue: Venue, crew: Crew, arrangement: Arrangement, people: int) -> None:
        repeats: list[Repeat] = []
        busy: list[float] = []
        errors: list[str] = []
        seconds = self._wanted.shortest
        while len(repeats) < self._wanted.repeats or (
            sum(each.requests for each in repeats) < self._wanted.requests and len(repeats) < 2 * self._wanted.repeats
        ):
            number = len(repeats) + 1
            crew.begin(self._wanted.script(arrangement, number), people)
            rate = self._warm_up(crew, people)
            if repeats:
                rate = sum(each.requests for each in repeats) / sum(each.seconds for each in repeats)
            seconds = max(self._wanted.shortest, SPARE * self._wanted.requests / self._wanted.repeats / rate)
            done, load, failures = self._repeat(venue, crew, number, seconds)
            repeats.append(done)
            busy.append(load)
            errors += failures
        self._judge(arrangement, people, busy, errors)
        point = Point(arrangement, people, tuple(repeats))
        self.trial = msgspec.structs.replace(self.trial, points=(*self.trial.points, point))
        self._save(self.trial)
        self._tell(
            f"{named(arrangement)}, {crowd(people)}: {point.throughput.mean:.1f} requests a second,"
            f" {point.response.mean * 1000:.0f} ms each."
        )

    def _warm_up(self, crew: Crew, people: int) -> float:
        """Until everybody has had an answer; about how many requests a second are answered from then on."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < COLD:
            crew.wait(WARM / 10)
            happened = crew.happened()
            if passed >= WARM and len({each.person for each in happened}) == people:
                break
        response = median(each.response for each in happened) if happened else COLD  # the very first was slow
        return people / (self._wanted.workload.think + response)

    def _repeat(self, venue: Venue, crew: Crew, number: int, seconds: float) -> tuple[Repeat, float, list[str]]:
        stop, before, begin = venue.watch(), _worked(), time.monotonic()
        crew.wait(seconds)
        while not any(not each.error for each in outcome.within(crew.happened(), begin, inf)):
            if time.monotonic() - begin > seconds + COLD:
                break  # `outcome.repeat` says what is wrong
            crew.wait(WARM / 10)
        end, after, served = time.monotonic(), _worked(), stop()
        counted = outcome.within(crew.end(), begin, end)
        busy = (after - before) / (end - begin)
        machine = 0.0 if self._wanted.circumstances.caps == "real" else min(1.0, busy)
        done = msgspec.structs.replace(outcome.repeat(number, end - begin, counted, served), machine=machine)
        return done, busy, [each.error for each in counted if each.error]

    def _judge(self, arrangement: Arrangement, people: int, busy: list[float], errors: list[str]) -> None:
        what = f"{named(arrangement)}, {crowd(people)}"
        if errors:
            self._warn(f"{what}: {len(errors)} requests failed; the first: {errors[0]}")
        if sum(busy) / len(busy) >= FULL and self._wanted.circumstances.caps != "real":
            before = next((each for each in self.trial.warnings if each.startswith(BUSY)), "")
            others = tuple(each for each in self.trial.warnings if each != before)
            said = f"{before.removesuffix('.')}; {what}." if before else f"{BUSY}: {what}."
            self.trial = msgspec.structs.replace(self.trial, warnings=(*others, said))

    def _was_busy(self, point: Point) -> bool:
        """More people would only wait longer for this machine."""
        what = f" {named(point.arrangement)}, {crowd(point.people)}"
        told = [
            each.removeprefix(f"{BUSY}:").removesuffix(".") for each in self.trial.warnings if each.startswith(BUSY)
        ]
        return any(what in each.split(";") for each in told)

    def _warn(self, *warnings: str) -> None:
        new = [each for each in warnings if each not in self.trial.warnings]
        self.trial = msgspec.structs.replace(self.trial, warnings=(*self.trial.warnings, *new))


def saturated(points: Sequence[Point]) -> bool:
    """Whether something is busy all the time with the last, or they get hardly more answers than half as many did.

    That is so where nobody sees what all wait for: a lender of 0.3 cores ran 1.6 to 1.8 tasks a second for 2 people
    and for 16, and was measured as busy for less than nine tenths of the time.
    """
    last = points[-1]
    fewer = [each for each in points if each.people * 2 <= last.people]
    grows = not fewer or last.throughput.mean >= MORE * fewer[-1].throughput.mean
    return utilisation(last) >= FULL or not grows


def utilisation(point: Point) -> float:
    """Of what was busiest in it, on average of the repeats."""
    parts = [
        [part for each in repeat.served for part in (each.processor, each.disk, each.link)] for repeat in point.repeats
    ]
    return max((sum(each) / len(each) for each in zip(*parts, strict=True)), default=0.0)


def named(arrangement: Arrangement) -> str:
    """`peer-to-peer, 50 % at one`."""
    words = [f"{arrangement.shape}"]
    if arrangement.shape is Shape.PEER_TO_PEER:
        words.append(f"{arrangement.hot:.0%} at one" if arrangement.hot else "even")
    return ", ".join([*words, "naive"] if arrangement.naive else words)


def crowd(people: int) -> str:
    """`1 person`, `2 people`."""
    return "1 person" if people == 1 else f"{people} people"


def estimate(wanted: Comparison, begun: Trial | None) -> float:
    """Seconds that what is missing takes, about: by the models, before anything was measured."""
    said, total = wanted.circumstances, 0.0
    had = {(each.arrangement, each.people) for each in begun.points} if begun else set()
    shapes = set()
    work = demands(wanted.workload, Rates(said.link * MBIT or 1e9))
    if said.power:
        work = Demands(work.processor / said.power, work.disk, work.link, work.computing / said.power)
    for arrangement in wanted.arrangements:
        fleet = Fleet(said.computers, work, wanted.workload.think, 1, said.strength, arrangement.hot)
        people = [*wanted.people, wanted.people[-1] * 2] if wanted.saturate else list(wanted.people)
        missing = [each for each in people if (arrangement, each) not in had]
        if not missing:
            continue
        shapes.add((arrangement.shape, arrangement.naive))
        for load in predict(fleet, arrangement.shape, missing):
            measured = max(wanted.shortest, SPARE * wanted.requests / wanted.repeats / load.throughput)
            total += wanted.repeats * (measured + WARM + BETWEEN + load.response)
    towns = len(shapes) if said.caps != "real" else 0
    return total + towns * FOUNDING * said.computers


def _worked() -> float:
    """Seconds that all of this machine's processors have worked, on average of them."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0)) / (psutil.cpu_count() or 1)
