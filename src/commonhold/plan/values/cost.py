"""What either shape costs, in the money of the scenario: things, power, people's hours, and waiting. *Pure.*

Everything over the scenario's years. The server is one computer more; peers stay on for one another. What people
spend for each pair of peers is what makes a large peer-to-peer network dear, and the hours in which a server is off,
for everybody, what makes a server so: both are asked for, or told as assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.scenario import Scenario

DAYS = 365
COSTING = {"computers", "people", *(name for name, field in FIELDS.items() if field.section == "money")}
ROUNDS = 400  # of chance, for a range: its ends move by a tenth of it at most, and an advice asks for hundreds


class Cost(NamedTuple):
    """One shape's: its lines add up to it."""

    things: float
    power: float
    care: float
    outages: float

    @property
    def whole(self) -> float:
        return sum(self)


class Range(NamedTuple):
    """Between which 8 of 10 outcomes lie, and the middle one."""

    low: float
    middle: float
    high: float


class Dice(Protocol):
    """What random.Random(seed) is."""

    def triangular(self, low: float, high: float, mode: float) -> float: ...


def cost(scenario: Scenario, shape: Shape) -> Cost:
    """What the values say, without their ranges."""
    return _cost(scenario.__getitem__, shape)


def difference(scenario: Scenario, dice: Dice) -> Range:
    """How much more client-server costs, when every value lies somewhere in its range."""
    found = sorted(_differences(scenario, dice))
    return Range(found[len(found) // 10], found[len(found) // 2], found[-1 - len(found) // 10])


def break_even(scenario: Scenario, most: int) -> int | None:
    """The smallest number of computers, up to `most`, from which on client-server is cheaper; None if it never is."""
    cheaper = [_dearer(scenario.but(computers=number)) < 0 for number in range(1, most + 1)]
    if not cheaper[-1]:
        return None
    return most - next((after for after, each in enumerate(reversed(cheaper)) if not each), most) + 1


def tornado(scenario: Scenario) -> list[tuple[str, float, float]]:
    """For each value that is uncertain: by how much client-server is dearer at its low and at its high end.

    Those that matter most come first.
    """
    swings = []
    for name, value in scenario:
        if FIELDS[name].section == "money" and value.low != value.high:
            low, high = (_dearer(scenario.but(**{name: number})) for number in (value.low, value.high))
            if low != high:
                swings.append((name, low, high))
    return sorted(swings, key=lambda swing: -abs(swing[2] - swing[1]))


def _dearer(scenario: Scenario) -> float:
    return cost(scenario, Shape.CLIENT_SERVER).whole - cost(scenario, Shape.PEER_TO_PEER).whole


def _differences(scenario: Scenario, dice: Dice) -> list[float]:
    spread = [(name, each.low, each.high, each.number) for name, each in scenario if name in COSTING]
    sure = {name: number for name, low, high, number in spread if low == high}
    unsure = [each for each in spread if each[0] not in sure]
    found = []
    for _ in range(ROUNDS):
        drawn = sure | {name: dice.triangular(low, high, number) for name, low, high, number in unsure}
        server, peers = (_cost(drawn.__getitem__, shape).whole for shape in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER))
        found.append(server - peers)
    return found


def _cost(of: Callable[[str], float], shape: Shape) -> Cost:
    computers, people, years, rate = of("computers"), of("people"), of("years"), of("rate")
    hour_lost = of("lost") * rate
    if shape is Shape.CLIENT_SERVER:
        return Cost(
            things=of("server"),
            power=years * DAYS * 24 * of("server_watts") / 1000 * of("power"),
            care=years * rate * (of("server_care") + of("person_care") * people),
            outages=years * of("server_outage") * people * hour_lost,
        )
    pairs = computers * (computers - 1)
    return Cost(
        things=0.0,
        power=years * DAYS * of("awake") * computers * of("computer_watts") / 1000 * of("power"),
        care=years * rate * (of("computer_care") * computers + of("pair_care") / 60 * pairs),
        outages=years * of("computer_outage") * computers * min(people, of("dependants")) * hour_lost,
    )
