"""`commonhold model`."""

from __future__ import annotations

import re

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned
from commonhold.cli.scenarios import of_a_scenario, read_trial, said
from commonhold.cli.verified import compared
from commonhold.errors import WrongUsage
from commonhold.plan.forecast import FARTHEST, MOST_PEOPLE, MOST_POINTS, Course, Expected, Model, Pool, Spreading
from commonhold.plan.forecast import Money as Costs
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.seeded import modelled, validated
from commonhold.plan.values.amounts import money, more, rate, time
from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.scenario import Scenario

SWINGS = 5  # that are shown; `--json` has them all


@declare(
    "model",
    "commonhold model",
    "commonhold model --computers 12 --workload media --link 100 --people 1..24",
    "commonhold model office.toml --people 5,10,20,40 --percentiles",
    "commonhold model --trial trial.json",
)
@of_a_scenario
@click.option("--people", metavar="LIST", help="How many people use it at once: 12, 1..40 or 1,2,4,8.")
@click.option("--percentiles", is_flag=True, help="Simulate as well: how long the slowest requests wait.")
@click.option("--trial", metavar="FILE", help="Predict what compare measured, and print both.")
def command(
    invocation: Invocation,
    /,
    file: str | None,
    workload: str | None,
    assigned: tuple[str, ...],
    people: str | None,
    percentiles: bool,
    trial: str | None,
    **flags: float | None,
) -> None:
    """Needs no network, and takes what advise takes: FILE, flags, this network if there is one, and what is usual.
    Throughputs are requests a second; in brackets stands between which bounds they must lie.

    With --trial it takes demands from two points of a comparison, one person and many at a server, and predicts all
    others in both shapes; in brackets stands where nine of ten measurements should lie.
    """
    if trial is not None:
        if file or workload or assigned or people or percentiles or any(each is not None for each in flags.values()):
            raise WrongUsage("--trial stands alone: a comparison says itself what was asked of whom.")
        checked = validated(read_trial(trial))
        invocation.out.answer(checked, *compared(checked))
        return
    numbers = listed(people) if people is not None else []
    scenario = said(invocation, file, workload, assigned, flags)
    if len(numbers) == 1:
        scenario = scenario.but(people=numbers[0])
    found = modelled(scenario, numbers or _usual(scenario), percentiles)
    invocation.out.answer(found, *_lines(scenario, found))


def listed(text: str) -> list[int]:
    """Numbers of people, rising.

    >>> listed("1..4,8"), listed("12")
    ([1, 2, 3, 4, 8], [12])
    """
    found: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*\.\.\s*(\d{1,9}))?\s*", piece)
        if match is None:
            raise WrongUsage(f"“{text}” is no number of people.", "--people 12, --people 1..40 or --people 1,2,4,8")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= MOST_PEOPLE:
            rise = "" if first <= last else " rise, and"
            raise WrongUsage(
                f"“{piece.strip()}”: numbers of people{rise} lie between 1 and {MOST_PEOPLE:,}.",
                "--people 1..40",
            )
        if last - first >= MOST_POINTS:
            raise WrongUsage(f"“{piece.strip()}” is more than {MOST_POINTS} numbers at once.", "name a few: 1,10,100")
        found.update(range(first, last + 1))
    return sorted(found)


def _usual(scenario: Scenario) -> list[int]:
    """Powers of two up to twice the scenario's people, and these."""
    people = int(scenario["people"])
    return sorted({people, *(2**power for power in range((2 * people).bit_length()))})


def _lines(scenario: Scenario, found: Model) -> list[str]:
    lines = [f"warning: {each}" for each in found.warnings]
    for course in found.courses:
        lines += [*_course(course), ""]
    lines += _pool(found.pools) if found.pools else []
    lines += [_spreading(found.spreading)] if found.spreading else []
    return [*lines, *_money(found.money, scenario)]


def _course(course: Course) -> list[str]:
    heads = ["people", "a second", "", "mean wait", "", "busiest", "", "owner waits"]
    simulated = course.expected[0].spread is not None
    heads += ["simulated", "half below", "95 % below", "99 % below"] if simulated else []
    return [
        f"{course.shape}: people begin to wait for one another at {course.knee:,.0f} of them",
        *(f"  {line}" for line in aligned([heads, *map(_row, course.expected)])),
        f"  {_missed(course)}",
    ]


def _missed(course: Course) -> str:
    found, who = course.missed, "the server" if course.shape is Shape.CLIENT_SERVER else "a peer"
    if not found.given_up + found.held:
        return f"No request finds {who} off."
    return (
        f"Of all requests {found.given_up + found.held:.2%} find {who} off: {found.given_up:.2%} are given up,"
        f" {found.held:.2%} wait {time(found.seconds)}."
    )


def _row(each: Expected) -> list[str]:
    cells = [
        f"{each.people:,}",
        rate(each.throughput),
        f"({rate(each.least_throughput)} to {rate(each.most_throughput)})",
        time(each.response),
        f"({time(each.least_response)} to {time(each.most_response)})",
        each.busiest or "-",
        f"{each.utilisations.get(each.busiest, 0.0):.1%}",
        f"{each.slowdown:.2f} times",
    ]
    if (spread := each.spread) is not None:
        cells += [f"{time(spread.mean)} ± {time(spread.within)}"]
        cells += [time(part) for part in (spread.p50, spread.p95, spread.p99)]
    return cells


def _pool(pools: tuple[Pool, ...]) -> list[str]:
    """For the most people only."""
    pool = pools[-1]
    rule = "less than half, and leaves room for their own people" if pool.half else "more than half"
    return [
        f"Tasks of {pool.people:,} people keep {pool.running:.1f} of the peers' {pool.processors} processors busy:"
        f" that is {rule}.",
        f"  A task waits {time(pool.waits)} for one of them all; it would wait {time(pool.apart)}, if each"
        " computer computed for its part of the people alone.",
        "",
    ]


def _spreading(found: Spreading) -> str:
    others = f"{found.copies} others" if found.copies > 1 else "other one"
    return (
        f"A gigabyte for the {others}: {time(found.server)} from a server, {time(found.peer)} from a peer."
        f" Computers that pass pieces on would need {time(found.passing_on)} at least; these do not pass on.\n"
    )


def _money(found: Costs, scenario: Scenario) -> list[str]:
    computers, people = (f"{scenario[name]:,.0f} {name}" for name in ("computers", "people"))
    lines = [
        f"With {computers} and {people}, in {found.years:.0f} years a server costs {money(found.server.whole)}, peers"
        f" {money(found.peers.whole)}; in 8 of 10 cases the server costs {more(found.dearer)}.",
        f"  A server is cheaper from {found.break_even:,} computers on."
        if found.break_even
        else f"  A server is dearer with any number of computers up to {FARTHEST}.",
    ]
    swings = [
        f"    {FIELDS[each.name].about} ({each.name}): {money(each.low)}, {money(each.high)}"
        for each in found.swings[:SWINGS]
    ]
    return [*lines, "  By how much it is dearer at both ends of what is uncertain:", *swings] if swings else lines
