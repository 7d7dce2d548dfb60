"""A report: what was measured, what is computed, what is advised, and on what all of it rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from commonhold.errors import WrongUsage
from commonhold.plan.advise import Again
from commonhold.plan.explain import explained
from commonhold.plan.pages import charts, stakes
from commonhold.plan.pages.page import Chapter, page
from commonhold.plan.pages.pictures import require
from commonhold.plan.queues.workload import WORKLOADS
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.seeded import advised, chance
from commonhold.plan.textbook.claim import TriedClaim
from commonhold.plan.textbook.claims import tried
from commonhold.plan.trials.trial import Trial, told_apart
from commonhold.plan.values.scenario import Provenance, Scenario, Value

Claims = Callable[[Sequence[Trial], Scenario, Again], Sequence[TriedClaim]]
HELD = {
    "namespaces": "each computer in a network namespace of one machine, held to what stands below",
    "loopback": "all computers on one machine's loopback, held to their rates by their own programs",
    "real": "real computers, held to nothing",
}


def report(
    scenario: Scenario | None,
    trials: Sequence[Trial] = (),
    base: str = "report",
    *,
    exposure: Exposure | None = None,
    claims: Claims = tried,
) -> dict[str, bytes]:
    """Every file of it by name, the page first: the same input, the same bytes. `exposure` is a live network's.

    Without a scenario it is that of the first comparison. Raises WrongUsage for neither, NotFound without matplotlib.
    """
    if scenario is None and not trials:
        raise WrongUsage("A report about nothing says nothing.", "a scenario, or --trial FILE")
    require()
    about = scenario or _scenario(trials[0])
    advice = advised(about)
    warnings = [
        *advice.warnings,
        *(exposure.warnings if exposure else ()),
        *(each for trial in trials for each in trial.warnings),
    ]
    textbook = Chapter("claims", "What textbooks say, tried", claims=claims(trials, about, chance))
    parts = [textbook, *_measured(trials), *_computed(about, bool(trials), exposure)]
    return page(
        f"Both shapes of a network of {about['computers']:g} computers",
        base,
        advice,
        list(dict.fromkeys(warnings)),
        parts,
    )


def _measured(trials: Sequence[Trial]) -> Iterator[Chapter]:
    for number, (trial, words) in enumerate(zip(trials, told_apart(trials), strict=True), 1):
        mark = f"-{number}" if len(trials) > 1 else ""
        about = charts.compared(_scenario(trial), trial, mark)
        found = [*charts.performance(about, chance), *charts.shares(about), charts.every_point(about)]
        what = f"Measured: {', '.join(dict.fromkeys((trial.circumstances.workload, *words)))}"
        yield Chapter(f"measured{mark}", what, (), _facts(trial), found)


def _computed(about: Scenario, measured: bool, exposure: Exposure | None) -> Iterator[Chapter]:
    if not measured:
        found = list(charts.performance(charts.compared(about), chance))
        yield Chapter("computed", "Computed", ("Nothing was measured: all of this is computed.",), (), found)
    yield Chapter("money", "Money", charts=list(stakes.money(about, chance)))
    here = [stakes.exposed(exposure)] if exposure and exposure.rows else []
    yield Chapter("exposure", "What could be lost", charts=[*here, *stakes.thefts()])
    yield Chapter("assumptions", "What this rests on", charts=[stakes.values(about)], opened=True)
    yield Chapter("formulas", "Formulas, with the numbers put in", formulas=list(explained(about)))


def _scenario(trial: Trial) -> Scenario:
    """What a comparison was about: what it was told, and what it measured of a request."""
    of, most = trial.circumstances, max(point.people for point in trial.points)
    said = {"computers": of.computers, "measured": most, "think": of.think, "strength": of.strength}
    said |= {"link": of.link} if of.link else {}
    said |= {"cores": max(1, round(of.power))} if of.power else {}
    values = {name: _found(number, Provenance.TOLD, of.day) for name, number in said.items()}
    workload = of.workload if of.workload in WORKLOADS else "fileserver"
    assumed = Scenario(values, workload).fleet()
    arrangement = trial.arrangements[0]
    fleet = charts.fitted(assumed, arrangement, trial.of(arrangement)[0], of.power)
    if fleet != assumed:
        measured = fleet.demands._asdict() | {"transfer": fleet.demands.link, "think": fleet.think}
        del measured["link"]
        values |= {name: _found(number, Provenance.MEASURED, of.day) for name, number in measured.items()}
    return Scenario(values, workload)


def _found(number: float, origin: Provenance, day: date | None) -> Value:
    return Value(float(number), origin, "the comparison", float(number), float(number), day)


def _facts(trial: Trial) -> list[tuple[str, str]]:
    of = trial.circumstances
    repeats = [repeat for point in trial.points for repeat in point.repeats]
    said = [
        ("Command", of.command),
        ("Day", of.day.isoformat() if of.day else ""),
        ("Machine", of.machine),
        ("Computers", f"{of.computers}: {HELD[of.caps]}"),
        ("Link of each", f"{of.link:g} Mbit/s each way" if of.link else "not held"),
        ("Processors of each", f"{of.power:g} cores" if of.power else "not held"),
        ("Server", f"{of.strength:g} times as strong"),
        ("Workload", f"{of.workload}, {of.think:g} s of thought on average, seed {of.seed}"),
        ("Points", f"{len(trial.points)}, {len(repeats)} repeats, {sum(each.requests for each in repeats):,} requests"),
        ("Errors", f"{sum(each.errors for each in repeats):,}"),
    ]
    return [(name, value) for name, value in said if value]
