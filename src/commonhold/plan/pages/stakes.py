"""What is at stake in either shape, as charts: money, what could be lost, and what all of it rests on. *Pure*."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from commonhold.plan.pages.sheets import Cell, Chart, Column, sheet
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.textbook.hazards import SIZES, lost, networks, theft
from commonhold.plan.values.cost import Dice, break_even, cost, difference, tornado
from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.scenario import Scenario

FEWEST = 20  # computers up to which costs are drawn at least
STEPS = 25
FARTHEST = 500  # computers, for the break-even
MOST_SWINGS = 12
HERE = "this network"


def money(scenario: Scenario, dice: Callable[[], Dice]) -> Iterator[Chart]:
    """What either shape costs, from which number of computers on a server is cheaper, and which values decide it."""
    yield _costs(scenario)
    yield _differences(scenario, dice)
    yield _swings(scenario)


def _costs(scenario: Scenario) -> Chart:
    years = f"{scenario['years']:.0f} years"
    shapes = (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER)
    rows: list[tuple[Cell, ...]] = []
    for shape in shapes:
        for computers in _grid(scenario):
            lines = cost(scenario.but(computers=computers), shape)
            rows.append((str(shape), computers, lines.whole, *lines))
    columns = [Column("shape"), Column("computers")]
    columns += [Column(head, "money") for head in ("cost", "things", "power", "care", "outages")]
    return Chart(
        "cost",
        f"What {years} cost",
        "In the scenario's money, with its values as they are: things, power, people's care, and the hours in which"
        " people wait for what is off.",
        "curves",
        sheet(columns, rows),
        tuple(map(str, shapes)),
        f"Cost of both shapes over {years} by number of computers.",
    )


def _differences(scenario: Scenario, dice: Callable[[], Dice]) -> Chart:
    even = break_even(scenario, FARTHEST)
    found = (
        f"With its values as they are, a server is cheaper from {even} computers on."
        if even
        else f"With its values as they are, a server is never cheaper up to {FARTHEST} computers."
    )
    spreads = [(computers, difference(scenario.but(computers=computers), dice())) for computers in _grid(scenario)]
    columns = [Column(""), Column("computers")]
    columns += [Column(head, "money") for head in ("server dearer by", "low", "high")]
    rows = [("difference", computers, spread.middle, spread.low, spread.high) for computers, spread in spreads]
    return Chart(
        "break-even",
        "By how much a server is dearer",
        f"{found} Line: in the middle of what is uncertain; in the shade lie 8 of 10 cases. Below zero a server is"
        " cheaper.",
        "curves",
        sheet(columns, rows),
        ("difference",),
        found,
    )


def _swings(scenario: Scenario) -> Chart:
    base = cost(scenario, Shape.CLIENT_SERVER).whole - cost(scenario, Shape.PEER_TO_PEER).whole
    rows = []
    for name, low, high in tornado(scenario)[:MOST_SWINGS]:
        value, unit = scenario.value(name), FIELDS[name].unit
        rows.append((f"{name.replace('_', ' ')}{f', {unit}' if unit else ''}", value.low, value.high, low, high, base))
    columns = [Column("value"), Column("low"), Column("high")]
    columns += [Column(head, "money") for head in ("server dearer by, at low", "at high", "as it is")]
    return Chart(
        "tornado",
        "Which value decides the cost",
        "By how much a server is dearer when one value is at its low (blue) or its high (orange) end and all others"
        " stay: 8 of 10 cases lie between the ends. Upright: as it is; dotted: as dear as peers.",
        "tornado",
        sheet(columns, rows),
        alternative="; ".join(f"{name}: {low:,.0f} to {high:,.0f}" for name, _, _, low, high, _ in rows[:3]),
    )


def thefts() -> Iterator[Chart]:
    """What a stolen key destroys in networks of several sizes, and what each kind of theft reaches in the largest."""
    names = tuple(networks(SIZES[0]))
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        for size in SIZES:
            found = theft(networks(size)[name])
            rows.append((name, size, lost(networks(size)[name]), *found))
    columns = [Column("network"), Column("computers"), Column("lost if one key in 100 is stolen", "part")]
    columns += [Column("one key destroys", "part"), Column("worst", "part"), Column("keys that destroy all")]
    yield Chart(
        "exposure",
        "What stolen keys destroy, by number of computers",
        "Part of all files, if one key in a hundred is stolen. The naive network is the textbook's: everybody knows"
        " everybody's password. Among peers and with a server the same people may change the same files.",
        "curves",
        sheet([*columns, Column("places to shut it out")], rows),
        names,
        "; ".join(f"{row[0]}, {row[1]} computers: {row[2]:.1%}" for row in rows if row[1] == SIZES[-1]),
    )
    largest = networks(SIZES[-1])
    yield Chart(
        "theft",
        f"What is reached by one theft, with {SIZES[-1]} computers",
        "Part of all files that can be read, destroyed, and destroyed with all that they were before.",
        "marks",
        sheet(
            [Column("network"), Column("stolen"), Column("read"), Column("destroy"), Column("beyond versions")],
            [row for name in names for row in _reaches(name, largest[name])],
        ),
        names,
        "Marks from 0 to 100 % for the mean key, the worst key and the worst computer of three networks.",
    )


def _reaches(name: str, found: Exposure) -> list[tuple[Cell, ...]]:
    parts = ("read", "destroy", "gone")
    stolen = found.of("key")
    means = [sum(getattr(row, part) for row in stolen) / len(stolen) for part in parts]
    worst = [max(found.of(kind), key=lambda row: (row.destroy, row.gone, row.read)) for kind in ("key", "computer")]
    return [
        (name, "mean key", *means),
        *((name, f"worst {row.kind}", *(getattr(row, part) for part in parts)) for row in worst),
    ]


def exposed(found: Exposure) -> Chart:
    """What each key, password and computer of this network reaches, the worst first."""
    columns = [
        Column("network"),
        Column("stolen"),
        *(Column(each, "part") for each in ("read", "destroy", "beyond versions")),
    ]
    columns += [Column("kind"), Column("of"), Column("severity"), Column("doors"), Column("computers")]
    rows: list[tuple[Cell, ...]] = [
        (HERE, row.name, row.read, row.destroy, row.gone, row.kind, row.person, row.severity, row.doors, row.computers)
        for row in found.rows
    ]
    unknown = f" Of {', '.join(found.unknown)} nothing is known." if found.unknown else ""
    return Chart(
        "here",
        "What is reached by one theft in this network",
        f"From its rules as they are: part of its {found.files:,} files that can be read, destroyed, and destroyed with"
        f" all that they were before.{unknown}",
        "marks",
        sheet(columns, rows),
        (HERE,),
        "; ".join(f"{row.name}: {row.destroy:.0%} destroyed" for row in found.rows[:3]),
    )


def values(scenario: Scenario) -> Chart:
    """What all of it rests on."""
    columns = [
        Column(name) for name in ("value", "meaning", "number", "unit", "low", "high", "origin", "source", "date")
    ]
    rows = [
        (
            name,
            FIELDS[name].about,
            value.number,
            FIELDS[name].unit,
            value.low,
            value.high,
            str(value.origin),
            value.source,
            value.day.isoformat() if value.day else "",
        )
        for name, value in scenario
    ]
    return Chart(
        "values",
        "What this rests on",
        "Measured, told or assumed; 8 of 10 cases lie from low to high.",
        "table",
        sheet(columns, rows),
    )


def _grid(scenario: Scenario) -> list[int]:
    """Numbers of computers to a few times as many, and beyond the break-even where it is not far."""
    computers = int(scenario["computers"])
    most = max(FEWEST, 3 * computers)
    if even := break_even(scenario, 10 * computers):
        most = max(most, even * 6 // 5)
    return sorted({max(2, round(most * step / STEPS)) for step in range(1, STEPS + 1)})
