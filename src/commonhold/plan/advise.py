"""Which shape suits a network: a sentence, why, and what would change it. *Pure*: the same scenario, the same words.

Four things are looked at apart, and never weighed against one another by numbers that nobody chose. What a network
must have decides first: one place that can shut anybody out, then the wait that people accept. Else money decides,
when one shape is cheaper in nine of ten cases of what is uncertain. Else either shape will do, and it is said which
one is the cheaper in most cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from commonhold.plan.queues.interruptions import interruptions, missed
from commonhold.plan.queues.shapes import Shape, parts, respond
from commonhold.plan.reach.accidents import harms, mean
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.reach.imagined import imagined_commons
from commonhold.plan.values.amounts import counted, money, more, number, time
from commonhold.plan.values.cost import Dice, Range, cost, difference
from commonhold.plan.values.fields import FIELDS, NOT_MEASURED, Field
from commonhold.plan.values.scenario import BEYOND, Provenance, Scenario

EITHER = "either"
CLOSE = 1.2  # times: nobody feels a smaller difference of two waits that are both too long
FARTHEST = 500  # computers that are looked at when nothing was measured
GROWN = 10  # times as many computers: nobody decides today for more
PATIENT = 2.0  # times as long as a request takes when nobody else asks: people who know how long a task is accept that
MODELLED = 12  # computers of the network in which mistakes are counted: in a larger one they hurt as many
LADDERS: dict[str, Sequence[float]] = {  # what may change, and the values that are tried before it is narrowed down
    "computers": (2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 86, 115, 154, 206, 275, 368, FARTHEST),
    "hot": tuple(step / 10 for step in range(1, 11)),
    "strength": (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16),
}
NARROWED = 9  # halvings between two values of a ladder


class Judgement(NamedTuple):
    """What a verdict rests on."""

    verdict: str  # a Shape, or EITHER
    because: str  # what decided: exposure, being alone, performance, cost, or nothing


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


def advise(scenario: Scenario, chance: Again, exposed: Exposure | None = None, today: date | None = None) -> Advice:
    """The whole answer. `exposed` is this network's, where there is one; with `today` it warns of old measurements.

    Raises WrongUsage for what makes no sense.
    """
    ground = judge(scenario, chance)
    found = scores(scenario, chance, exposed)
    deciding = [each for each in found if each.about == ground.because]
    same = [each for each in found if each not in deciding and each.favours == ground.verdict]
    others = [each for each in found if each not in deciding and each not in same]
    return Advice(
        verdict=str(ground.verdict),
        sentence=_sentence(scenario, ground, chance),
        reasons=tuple(each.sentence for each in [*deciding, *same, *others][:3]),
        changes=tuple(changes(scenario, ground, chance)),
        assumptions=tuple(_assumptions(scenario)),
        measure_first=measure_first(scenario, ground, chance),
        warnings=(*scenario.warnings(today=today), *_remarks(scenario, ground)),
        scores=tuple(found),
    )


def judge(scenario: Scenario, chance: Again) -> Judgement:
    """The verdict, by the rules above."""
    if scenario["strict"]:
        return Judgement(Shape.CLIENT_SERVER, "exposure")
    if scenario["computers"] == 1:  # whoever has no computer comes with an account, which a server gives
        return Judgement(Shape.PEER_TO_PEER if scenario["people"] == 1 else Shape.CLIENT_SERVER, "alone")
    waits = _waits(scenario)
    enough = _enough(scenario, waits)
    if len(enough) == 1:
        return Judgement(enough[0], "performance")
    if not enough and max(waits.values()) > CLOSE * min(waits.values()):
        return Judgement(min(waits, key=waits.__getitem__), "performance")
    cheaper = _cheaper(difference(scenario, chance()))
    return Judgement(cheaper, "nothing" if cheaper == EITHER else "cost")


def scores(scenario: Scenario, chance: Again, exposed: Exposure | None = None) -> list[Score]:
    """The four, each by itself."""
    reached = _exposure(scenario, exposed), _accidents(scenario, exposed)
    return [_performance(scenario), _cost(scenario, chance), *reached]


def accepted(scenario: Scenario) -> float:
    """The mean wait that people accept; where nobody said it, what is usual, or longer for what takes long alone."""
    value = scenario.value("response")
    alone = sum(scenario.fleet().demands)
    return max(value.number, PATIENT * alone) if value.origin is Provenance.ASSUMED else value.number


def changes(scenario: Scenario, ground: Judgement, chance: Again) -> list[str]:
    """From which number of computers, part at the busiest one, and strength of the server the verdict would be another.

    Between the values that are tried the verdict may change and change back: that is not seen.
    """
    found = []
    for name, ladder in LADDERS.items():
        here = scenario[name]
        farthest = (scenario["measured"] * BEYOND or here * GROWN) if name == "computers" else ladder[-1]
        up = [value for value in ladder if here < value <= farthest]
        down = [value for value in reversed(ladder) if value < here]
        for values in (up, down):
            if found_at := _first(scenario, ground, chance, name, values):
                found.append(_change(name, *found_at, above=values is up))
    return found


def measure_first(scenario: Scenario, ground: Judgement, chance: Again) -> str:
    """The assumed value that could change the verdict, else the one that moves figures most; "" when none is left."""
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
    return (
        f"{what}: it could change the advice" if flips else f"{what}: it moves the figures most, though not the advice"
    )


def _waits(scenario: Scenario) -> dict[Shape, float]:
    return {shape: respond(scenario.fleet(), shape, int(scenario["people"])) for shape in Shape}


def _enough(scenario: Scenario, waits: Mapping[Shape, float]) -> list[Shape]:
    return [shape for shape, wait in waits.items() if wait <= accepted(scenario)]


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


def _sentence(scenario: Scenario, ground: Judgement, chance: Again) -> str:
    computers = counted(scenario["computers"], "computer", "computers")
    people = counted(scenario["people"], "person", "people")
    why = {
        "exposure": "one place must be able to shut anybody out of everything",
        "alone": "with one computer only"
        + (", whose owner is alone, nobody has to be served" if scenario["people"] == 1 else " it serves the others"),
        "performance": "people wait less",
        "cost": "it is cheaper",
    }.get(ground.because) or _tie(scenario, chance)
    return f"{ground.verdict[0].upper()}{ground.verdict[1:]}, for {computers} and {people}: {why}."


def _tie(scenario: Scenario, chance: Again) -> str:
    """Why neither is advised, and what to do all the same."""
    fast = "both are fast enough" if _enough(scenario, _waits(scenario)) else "both are as slow"
    cheaper = Shape.PEER_TO_PEER if difference(scenario, chance()).middle > 0 else Shape.CLIENT_SERVER
    return f"{fast}, and neither is surely cheaper; if in doubt {cheaper}, cheaper in most cases"


def _remarks(scenario: Scenario, ground: Judgement) -> Iterator[str]:
    """What the figures do not say."""
    without = scenario["people"] - scenario["computers"]
    if without > 0 and ground.verdict != Shape.CLIENT_SERVER:
        some = counted(without, "person has", "people have")
        yield f"{some} no computer: only a server gives accounts to people without one."


def _performance(scenario: Scenario) -> Score:
    waits = _waits(scenario)
    server, peers = waits[Shape.CLIENT_SERVER], waits[Shape.PEER_TO_PEER]
    slower = max(server, peers) > CLOSE * min(server, peers)
    favours = min(waits, key=waits.__getitem__) if slower else EITHER
    return Score(
        "performance",
        favours,
        f"A request waits {time(server)} on average with a server, {time(peers)} among peers;"
        f" people accept {time(accepted(scenario))}.",
    )


def _cost(scenario: Scenario, chance: Again) -> Score:
    server, peers = (cost(scenario, shape).whole for shape in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER))
    spread = difference(scenario, chance())
    return Score(
        "cost",
        _cheaper(spread),
        f"In {scenario['years']:.0f} years a server costs {money(server)}, peers {money(peers)}; in 8 of 10 cases"
        f" the server costs {more(spread)}.",
    )


def _exposure(scenario: Scenario, exposed: Exposure | None) -> Score:
    favours = Shape.CLIENT_SERVER if scenario["strict"] else EITHER
    places = "Rules are said in one place at a server, at each computer among peers."
    if exposed is not None and (keys := exposed.of("key", "password")):
        mean, worst = sum(each.destroy for each in keys) / len(keys), max(keys, key=lambda each: each.destroy)
        unknown = f" The rules of {', '.join(exposed.unknown)} are not known." if exposed.unknown else ""
        return Score(
            "exposure",
            favours,
            f"As the rules of this network stand, a stolen key or password destroys {mean:.0%} of all files on average,"
            f" at worst {worst.destroy:.0%} ({worst.name}).{unknown} {places}",
        )
    opened, busiest = scenario["opened"], parts(scenario.fleet())[0]
    return Score(
        "exposure",
        favours,
        f"A stolen ordinary account can change {opened:.0%} of all files in either shape; the computer that admits"
        " others all of them: the server, or a guard's among peers; any other computer"
        f" {opened:.0%} with a server, up to {busiest + (1 - busiest) * opened:.0%} among peers. {places}",
    )


def _accidents(scenario: Scenario, exposed: Exposure | None) -> Score:
    people, computers = scenario["people"], scenario["computers"]
    server = scenario["server_outage"] * people
    peers = scenario["computer_outage"] * computers * min(people, scenario["dependants"])
    size = max(2, min(int(computers), MODELLED))
    lost = {shape: missed(interruptions(scenario, shape)).given_up for shape in Shape}
    with_server, among_peers = (
        mean(harms(imagined_commons(each, size, scenario["opened"])).values()).minutes
        for each in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER)
    )
    known = exposed.mistakes if exposed else {}
    here = f"; by the rights of this network {mean(known.values()).minutes:.0f}" if known else ""
    fewer = {_less(peers, server), _less(among_peers, with_server)} - {EITHER}
    return Score(
        "accidents",
        fewer.pop() if len(fewer) == 1 else EITHER,
        f"While a server is off all people wait, {server:.0f} hours of theirs a year; while a peer is off, those who"
        f" need it: {peers:.0f}. A mistake of one costs the others {with_server:.0f} minutes with a server,"
        f" {among_peers:.0f} among peers, where what owners delete on their own disks has no versions{here}. Of"
        f" requests {lost[Shape.CLIENT_SERVER]:.2%} are given up with a server, {lost[Shape.PEER_TO_PEER]:.2%} among"
        " peers.",
    )


def _less(peers: float, server: float) -> str:
    if max(peers, server) <= CLOSE * min(peers, server):
        return EITHER
    return Shape.PEER_TO_PEER if peers < server else Shape.CLIENT_SERVER


def _assumptions(scenario: Scenario) -> list[str]:
    found = {name: value for name, value in scenario if value.origin is Provenance.ASSUMED}
    if "response" in found and accepted(scenario) > found["response"].number:
        source = f"{PATIENT:g} times what a request takes when nobody else asks"
        found["response"] = found["response"]._replace(number=round(accepted(scenario), 1), source=source)
    return [
        f"{FIELDS[name].about} ({name}): {_told(FIELDS[name], value.number)}, {value.source}"
        for name, value in found.items()
        if value.source != NOT_MEASURED
    ]


def _told(field: Field, value: float) -> str:
    if field.whole and field.most == 1:
        return "yes" if value else "no"
    return f"{number(value)} {field.unit}".rstrip()
