"""`commonhold advise`."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.scenarios import of_a_scenario, read_scenario, read_trial, said, write_new
from commonhold.errors import NodeNotRunning, NotFound, WrongUsage
from commonhold.plan.advise import Advice
from commonhold.plan.explain import explained
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.seeded import advised, tried_claims
from commonhold.plan.textbook.claim import TriedClaim
from commonhold.plan.values.scenario import Provenance, Scenario, written


@declare(
    "advise",
    "commonhold advise",
    "commonhold advise --computers 12 --workload media --link 100 --hot 0.5",
    "commonhold advise --strict --explain",
    "commonhold advise --set rate=50 --save office.toml",
    "commonhold advise office.toml",
    "commonhold advise --diff today.toml with-a-server.toml",
    "commonhold advise --claims --trial comparison.json",
)
@of_a_scenario
@click.option("--people", type=float, metavar="N", help="How many people use it at once.")
@click.option("--strict", is_flag=True, default=None, help="One place must be able to shut anybody out of everything.")
@click.option("--explain", is_flag=True, help="Print the formulas, with the numbers put in.")
@click.option("--save", metavar="FILE", help="Keep the scenario as a file, assumptions among it.")
@click.option("--diff", nargs=2, metavar="FILE FILE", help="Compare two scenarios, and what is advised for each.")
@click.option("--claims", is_flag=True, help="Say how the claims of textbooks come out, instead.")
@click.option(
    "--trial", "trials", multiple=True, metavar="FILE", help="With --claims: a comparison; may be given again."
)
def command(
    invocation: Invocation,
    /,
    file: str | None,
    workload: str | None,
    assigned: tuple[str, ...],
    explain: bool,
    save: str | None,
    diff: tuple[str, str] | None,
    claims: bool,
    trials: tuple[str, ...],
    **flags: float | None,
) -> None:
    """Needs no network: it asks five questions on a terminal, and takes the rest from this network, if there is one,
    from FILE, or from what is usual. The answer names what it assumes, and what to measure first.
    """
    if diff is not None:
        _compare(invocation, *diff)
        return
    if trials and not claims:
        raise WrongUsage("A comparison shows how claims come out, and is none of a scenario's values.", "add --claims")
    scenario = said(invocation, file, workload, assigned, flags, ask=not claims)
    if claims:
        found = tried_claims([read_trial(each) for each in trials], scenario)
        invocation.out.answer(found, *(line for each in found for line in _tried(each)))
        return
    if save is not None:
        _keep(save, scenario, file)
    ours = _exposed(invocation) if file is None and _is_ours(scenario) else None
    advice = advised(scenario, ours, datetime.now(UTC).date())
    formulas = ["", *explained(scenario)] if explain else []
    invocation.out.answer(advice, *_lines(advice), *formulas)


def _is_ours(scenario: Scenario) -> bool:
    """Whether it is about the network that there is, not about one of another size."""
    return scenario.value("computers").origin is Provenance.MEASURED


def _exposed(invocation: Invocation) -> Exposure | None:
    try:
        with invocation.network() as network:
            found = network.expose()
            return found if found.known else None
    except (NotFound, NodeNotRunning):
        return None


def _tried(claim: TriedClaim) -> list[str]:
    return [f"{claim.number}. {claim.text} {claim.verdict.capitalize()}.", f"   {claim.because}"]


def _keep(file: str, scenario: Scenario, read: str | None) -> None:
    """Only the scenario that was read is replaced: in another one somebody may have written much."""
    mine = read is not None and Path(file).expanduser().resolve() == Path(read).expanduser().resolve()
    quoted = shlex.quote(file)
    hint = f"another name; to change that one: commonhold advise {quoted} --save {quoted}"
    write_new(file, written(scenario), hint, replace=mine)


def _lines(advice: Advice) -> list[str]:
    lines = [advice.sentence, *(f"  {reason}" for reason in advice.reasons)]
    lines += [f"warning: {each}" for each in advice.warnings]
    lines += ["It would be:", *(f"  {each}" for each in advice.changes)] if advice.changes else []
    lines += [f"Measure first: {advice.measure_first}."] if advice.measure_first else []
    return [*lines, "Assumed:", *(f"  {each}" for each in advice.assumptions)]


def _compare(invocation: Invocation, one: str, other: str) -> None:
    """What differs, and what it does to the advice."""
    scenarios = [read_scenario(file) for file in (one, other)]
    first, second = (advised(scenario, None, datetime.now(UTC).date()) for scenario in scenarios)
    differ = [
        f"  {name}: {before.number:g} ({before.origin}), {after.number:g} ({after.origin})"
        for (name, before), (_, after) in zip(*scenarios, strict=True)
        if before.number != after.number
    ]
    if scenarios[0].workload != scenarios[1].workload:
        differ.insert(0, f"  workload: {scenarios[0].workload.name}, {scenarios[1].workload.name}")
    lines = [f"{one}: {first.sentence}", f"{other}: {second.sentence}"]
    for file, each in ((one, first), (other, second)):
        lines += [f"warning: {file}: {warning}" for warning in each.warnings]
    lines += ["What differs:", *differ] if differ else ["Nothing differs."]
    for before, after in zip(first.scores, second.scores, strict=True):
        if before != after:
            lines += [f"{before.about}:", f"  {one}: {before.sentence}", f"  {other}: {after.sentence}"]
    invocation.out.answer([first, second], *lines)
