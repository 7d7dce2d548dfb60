"""Which shape suits a network: a sentence, why, and what would change it. *Pure*: the same scenario, the same words.

Four things are looked at apart, and never weighed against one another by numbers that nobody chose. What a network
must have decides first: one place that can shut anybody out, then the wait that people accept. Else money decides,
when one shape is cheaper in nine of ten cases of what is uncertain. Else either shape will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from commonhold.plan.cost import Dice, Range, cost, difference
from commonhold.plan.fields import FIELDS
from commonhold.plan.scenario import BEYOND, Provenance, Scenario
from commonhold.plan.shapes import Shape, parts, respond

EITHER = "either"
CLOSE = 1.2  # times: nobody feels a smaller difference of two waits that are both too long
FARTHEST = 500  # computers that are looked at when nothing was measured
LADDERS: dict[str, Sequence[float]] = {  # what may change, and the values that are tried before it is narrowed down
    "computers": (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 86, 115, 154, 206, 275, 368, FARTHEST),
    "hot": tuple(step / 10 for step in range(1, 11)),
    "strength": (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16),
}
NARROWED = 9  # halvings between two values of a ladder


class Judgement(NamedTuple):
    """What a verdict rests on."""

    verdict: str  # a Shape, or EITHER
    because: str  # what decided: exposure, performance, cost, or nothing


class Score(msgspec.Struct, frozen=True):
    """One of the four things, by itself: whom it favours, and its figures."""

    about: str  # performance, cost, exposure, accidents
    favours: str
    sentence: str


class Advice(msgspec.Struct, frozen=True):
    """What `advise` answers."""

    verdict: str
    sentence: str
    reasons: tuple[str, ...]  # three
    changes: tuple[str, ...]
    assumptions: tuple[str, ...]
    measure_first: str
    warnings: tuple[str, ...]
    scores: tuple[Score, ...]


Again = Callable[[], Dice]  # chance that begins anew, the same each time: what differs then is not chance's


def advise(scenario: Scenario, chance: Again) -> Advice:
    """The whole answer. Raises WrongUsage for a scenario that makes no sense."""
    ground = judge(scenario, chance)
    found = scores(scenario, chance)
    deciding = [each for each in found if each.about == ground.because]
    same = [each for each in found if each not in deciding and each.favours == ground.verdict]
    others = [each for each in found if each not in deciding and each not in same]
    return Advice(
        verdict=str(ground.verdict),
        sentence=_sentence(scenario, ground),
        reasons=tuple(each.sentence for each in [*deciding, *same, *others][:3]),
        changes=tuple(changes(scenario, ground, chance)),
        assumptions=tuple(_assumptions(scenario)),
        measure_first=measure_first(scenario, ground, chance),
        warnings=tuple(scenario.warnings()),
        scores=tuple(found),
    )


def judge(scenario: Scenario, chance: Again) -> Judgement:
    """The verdict, by the rules above."""
    if scenario["strict"]:
        return Judgement(Shape.CLIENT_SERVER, "exposure")
    waits = _waits(scenario)
    enough = [shape for shape, wait in waits.items() if wait <= scenario["response"]]
    if len(enough) == 1:
        return Judgement(enough[0], "performance")
    if not enough and max(waits.values()) > CLOSE * min(waits.values()):
        return Judgement(min(waits, key=waits.__getitem__), "performance")
    cheaper = _cheaper(difference(scenario, chance()))
    return Judgement(cheaper, "nothing" if cheaper == EITHER else "cost")


def scores(scenario: Scenario, chance: Again) -> list[Score]:
    """The four, each by itself."""
    return [_performance(scenario), _cost(scenario, chance), _exposure(scenario), _accidents(scenario)]


def changes(scenario: Scenario, ground: Judgement, chance: Again) -> list[str]:
    """From which number of computers, part at the busiest one, and strength of the server the verdict would be another.

    Between the values that are tried the verdict may change and change back: that is not seen.
    """
    found = []
    for name, ladder in LADDERS.items():
        here = scenario[name]
        farthest = scenario["measured"] * BEYOND if name == "computers" and scenario["measured"] else ladder[-1]
        up = [value for value in ladder if here < value <= farthest]
        down = [value for value in reversed(ladder) if value < here]
        for values in (up, down):
            if found_at := _first(scenario, ground, chance, name, values):
                found.append(_change(name, *found_at, above=values is up))
    return found


def measure_first(scenario: Scenario, ground: Judgement, chance: Again) -> str:
    """The assumed value that could change the verdict, else the one that could change most; "" when none is left."""
    ranked = []
    for name, value in scenario:
        if value.origin is Provenance.ASSUMED and value.low != value.high:
            ends = [scenario.but(**{name: number}) for number in (value.low, value.high)]
            flips = sum(judge(end, chance).verdict != ground.verdict for end in ends)
            ranked.append((flips, _influence(*ends), name))
    if not ranked:
        return ""
    flips, influence, name = max(ranked)
    if not flips and not influence:
        return ""
    what = f"{FIELDS[name].about} ({name})"
    return f"{what}: it could change the advice" if flips else f"{what}: the advice depends on it most"


def _waits(scenario: Scenario) -> dict[Shape, float]:
    return {shape: respond(scenario.fleet(), shape, int(scenario["people"])) for shape in Shape}


def _cheaper(spread: Range) -> str:
    if spread.low > 0:
        return Shape.PEER_TO_PEER
    return Shape.CLIENT_SERVER if spread.high < 0 else EITHER


def _first(
    scenario: Scenario, ground: Judgement, chance: Again, name: str, values: Sequence[float]
) -> tuple[float, str] | None:
    """The value nearest to the scenario's at which the verdict is another, and which."""

    def verdict(value: float) -> str:
        return judge(scenario.but(**{name: value}), chance).verdict

    near = scenario[name]
    for value in values:
        if verdict(value) == ground.verdict:
            near = value
            continue
        far = value
        for _ in range(NARROWED):
            middle = (near + far) / 2
            if FIELDS[name].whole:
                middle = float(int(middle))
            if middle in {near, far}:
                break
            near, far = (middle, far) if verdict(middle) == ground.verdict else (near, middle)
        return far, verdict(far)
    return None


def _change(name: str, value: float, verdict: str, *, above: bool) -> str:
    if name == "computers":
        return f"{verdict} from {value:.0f} computers {'up' if above else 'down'}"
    if name == "hot":
        return f"{verdict} if one computer gets {'more' if above else 'less'} than {value:.0%} of the requests"
    return f"{verdict} with a server {'more' if above else 'less'} than {value:.2g} times as fast as a computer"


def _influence(low: Scenario, high: Scenario) -> float:
    """How far costs and waits lie apart at the two ends, as a part of themselves."""
    waits = zip(_waits(low).values(), _waits(high).values(), strict=True)
    costs = ((cost(low, shape).whole, cost(high, shape).whole) for shape in Shape)
    return max(_apart(*ends) for ends in (*waits, *costs))


def _apart(one: float, other: float) -> float:
    most = max(one, other)
    return abs(one - other) / most if most else 0.0


def _sentence(scenario: Scenario, ground: Judgement) -> str:
    computers, people = scenario["computers"], scenario["people"]
    who = (
        f"{computers:.0f} computers and {people:.0f} people" if computers != 1 else f"one computer, {people:.0f} people"
    )
    why = {
        "exposure": "one place must be able to shut anybody out of everything",
        "performance": "people wait less",
        "cost": "it is cheaper",
        "nothing": "the shapes are too close for what is known",
    }[ground.because]
    return f"{ground.verdict[0].upper()}{ground.verdict[1:]}, for {who}: {why}."


def _performance(scenario: Scenario) -> Score:
    waits = _waits(scenario)
    server, peers = waits[Shape.CLIENT_SERVER], waits[Shape.PEER_TO_PEER]
    slower = max(server, peers) > CLOSE * min(server, peers)
    favours = min(waits, key=waits.__getitem__) if slower else EITHER
    return Score(
        "performance",
        favours,
        f"A request waits {_time(server)} on average with a server, {_time(peers)} among peers;"
        f" people accept {_time(scenario['response'])}.",
    )


def _cost(scenario: Scenario, chance: Again) -> Score:
    server, peers = (cost(scenario, shape).whole for shape in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER))
    spread = difference(scenario, chance())
    return Score(
        "cost",
        _cheaper(spread),
        f"In {scenario['years']:.0f} years a server costs {_money(server)}, peers {_money(peers)}; in 8 of 10 cases"
        f" {_more(spread)}.",
    )


def _exposure(scenario: Scenario) -> Score:
    opened, busiest = scenario["opened"], parts(scenario.fleet())[0]
    worst = busiest + (1 - busiest) * opened
    return Score(
        "exposure",
        Shape.CLIENT_SERVER if scenario["strict"] else Shape.PEER_TO_PEER if worst < 1 else EITHER,
        f"A stolen ordinary account can change {opened:.0%} of all files in either shape. The worst computer to lose is"
        f" the server, with all of them; among peers the busiest, with {worst:.0%}. Who may do what is said in one"
        " place at a server, at each computer among peers.",
    )


def _accidents(scenario: Scenario) -> Score:
    people, computers = scenario["people"], scenario["computers"]
    server = scenario["server_outage"] * people
    peers = scenario["computer_outage"] * computers * min(people, scenario["dependants"])
    close = max(server, peers) <= CLOSE * min(server, peers)
    fewer = Shape.PEER_TO_PEER if peers < server else Shape.CLIENT_SERVER
    return Score(
        "accidents",
        EITHER if close else fewer,
        f"A server that is off stops everybody, {server:.0f} hours of people's a year; a peer that is off those who"
        f" need it, {peers:.0f} hours. What is deleted or overwritten comes back in either shape.",
    )


def _assumptions(scenario: Scenario) -> list[str]:
    return [
        f"{FIELDS[name].about} ({name}): {_number(value.number)}{f' {FIELDS[name].unit}' if FIELDS[name].unit else ''},"
        f" {value.source}"
        for name, value in scenario
        if value.origin is Provenance.ASSUMED and name != "measured"
    ]


def _more(spread: Range) -> str:
    if spread.low < 0 < spread.high:
        return f"the server costs between {_money(-spread.low)} less and {_money(spread.high)} more"
    near, far = sorted((abs(spread.low), abs(spread.high)))
    return f"the server costs {_money(near)} to {_money(far)} {'less' if spread.high <= 0 else 'more'}"


def _counted(number: float, one: str, many: str) -> str:
    return f"{number:.0f} {one if number == 1 else many}"


def _time(seconds: float) -> str:
    """
    >>> _time(0.0042), _time(0.25), _time(3.21), _time(400)
    ('4.2 ms', '250 ms', '3.2 s', '400 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def _number(value: float) -> str:
    """
    >>> _number(0.000862458), _number(1500.0), _number(0.3)
    ('0.000862', '1500', '0.3')
    """
    return f"{value:.3g}" if abs(value) < 1 else f"{value:g}"


def _money(amount: float) -> str:
    """To two digits: nobody knows more.

    >>> _money(12345), _money(-87), _money(0)
    ('12,000', '-87', '0')
    """
    if not amount:
        return "0"
    digits = max(0, len(str(int(abs(amount)))) - 2)
    return f"{round(amount / 10**digits) * 10**digits:,}"
