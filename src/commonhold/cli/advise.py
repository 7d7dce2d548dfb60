"""`commonhold advise`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import Conflict, NodeNotRunning, NotFound, WrongUsage
from commonhold.plan.advise import Advice
from commonhold.plan.explain import explained
from commonhold.plan.scenario import Provenance, Scenario, Value, parse, told, written
from commonhold.plan.seeded import advised
from commonhold.plan.workload import WORKLOADS

LONGEST = 2**20  # bytes of a scenario


@declare(
    "advise",
    "commonhold advise",
    "commonhold advise --computers 12 --workload media --link 100 --hot 0.5",
    "commonhold advise --strict --explain",
    "commonhold advise --set rate=50 --save office.toml",
    "commonhold advise office.toml",
    "commonhold advise --diff today.toml with-a-server.toml",
)
@click.argument("file", required=False)
@click.option("--computers", type=float, metavar="N", help="How many computers.")
@click.option("--people", type=float, metavar="N", help="How many people use it at once.")
@click.option("--workload", type=click.Choice(list(WORKLOADS)), help="What they do most of all.")
@click.option("--link", type=float, metavar="MBIT", help="Each computer's link, in Mbit/s.")
@click.option("--strength", type=float, metavar="X", help="How many times as fast the server is, or would be.")
@click.option("--hot", type=float, metavar="PART", help="Part of all requests at the busiest computer: 0.3.")
@click.option("--strict", is_flag=True, default=None, help="One place must be able to shut anybody out of everything.")
@click.option("--set", "said", multiple=True, metavar="NAME=VALUE", help="Any other value of a scenario's file.")
@click.option("--explain", is_flag=True, help="Print the formulas, with the numbers put in.")
@click.option("--save", metavar="FILE", help="Keep the scenario as a file, assumptions among it.")
@click.option("--diff", nargs=2, metavar="FILE FILE", help="Compare two scenarios, and what is advised for each.")
def command(
    invocation: Invocation,
    /,
    file: str | None,
    workload: str | None,
    said: tuple[str, ...],
    explain: bool,
    save: str | None,
    diff: tuple[str, str] | None,
    **flags: float | None,
) -> None:
    """Needs no network: it asks five questions on a terminal, and takes the rest from this network, if there is one,
    from FILE, or from what is usual. The answer names what it assumes, and what to measure first.
    """
    if diff is not None:
        _compare(invocation, *diff)
        return
    numbers = {name: float(number) for name, number in flags.items() if number is not None} | _assigned(said)
    if file is not None:
        scenario = _read(file, workload, numbers)
    else:
        known = _known(invocation)
        if not numbers and workload is None and invocation.out.watched:
            workload, numbers = _asked(known)
        scenario = Scenario(known | told(numbers), workload or "office")
    if save is not None:
        _keep(save, scenario, file)
    advice = advised(scenario)
    formulas = ["", *explained(scenario)] if explain else []
    invocation.out.answer(advice, *_lines(advice), *formulas)


def _known(invocation: Invocation) -> dict[str, Value]:
    """What this computer's network is, if its node runs."""
    try:
        with invocation.network() as network:
            return {name: value for name, value in network.scenario() if value.origin is Provenance.MEASURED}
    except (NotFound, NodeNotRunning):
        return {}


def _asked(known: Mapping[str, Value]) -> tuple[str, dict[str, float]]:
    """The five questions, on standard error."""
    numbers = {}
    if "computers" not in known:
        numbers["computers"] = click.prompt("How many computers", type=float, default=5, err=True)
    workload = click.prompt("What for", type=click.Choice(list(WORKLOADS)), default="office", err=True)
    for name, question, default in (
        ("link", "How fast is each one's link, in Mbit/s", 1000),
        ("hot", "Which part of all requests goes to the busiest computer, from 0 to 1", 0.3),
        ("strength", "How many times as fast as the others is the computer that would be the server", 1),
    ):
        numbers[name] = click.prompt(question, type=float, default=default, err=True)
    strict = click.confirm("Must one place be able to shut anybody out of everything", default=False, err=True)
    return workload, numbers | {"strict": float(strict)}


def _assigned(said: tuple[str, ...]) -> dict[str, float]:
    numbers = {}
    for each in said:
        name, _, text = each.partition("=")
        try:
            numbers[name.strip()] = float(text)
        except ValueError:
            raise WrongUsage(f"“{each}” gives no value a number.", "--set rate=50") from None
    return numbers


def _read(file: str, workload: str | None, numbers: Mapping[str, float]) -> Scenario:
    """The scenario of a file, with what was said besides."""
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > LONGEST:
            raise WrongUsage(f"{file} is no scenario: it is larger than {LONGEST:,} bytes.")
        scenario = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(
            f"{file} cannot be read: {error.strerror}.", "commonhold advise --save FILE writes one"
        ) from None
    except UnicodeDecodeError:
        raise WrongUsage(f"{file} is no scenario: it is no text.") from None
    return scenario.changed(numbers, workload)


def _keep(file: str, scenario: Scenario, read: str | None) -> None:
    """Only the scenario that was read is replaced: in another one somebody may have written much."""
    place = Path(file).expanduser()
    mine = read is not None and place.resolve() == Path(read).expanduser().resolve()
    try:
        with place.open("w" if mine or place.is_dir() else "x", encoding="utf-8") as opened:
            opened.write(written(scenario))
    except FileExistsError:
        hint = f"another name; to change that one: commonhold advise {shlex.quote(file)} --save {shlex.quote(file)}"
        raise Conflict(f"{file} is there already.", hint) from None
    except OSError as error:
        raise NotFound(f"{file} cannot be written: {error.strerror}.") from None


def _lines(advice: Advice) -> list[str]:
    lines = [advice.sentence, *(f"  {reason}" for reason in advice.reasons)]
    lines += [f"warning: {each}" for each in advice.warnings]
    lines += ["It would be:", *(f"  {each}" for each in advice.changes)] if advice.changes else []
    lines += [f"Measure first: {advice.measure_first}."] if advice.measure_first else []
    return [*lines, "Assumed:", *(f"  {each}" for each in advice.assumptions)]


def _compare(invocation: Invocation, one: str, other: str) -> None:
    """What differs, and what it does to the advice."""
    scenarios = [_read(file, None, {}) for file in (one, other)]
    first, second = (advised(scenario) for scenario in scenarios)
    differ = [
        f"  {name}: {before.number:g} ({before.origin}), {after.number:g} ({after.origin})"
        for (name, before), (_, after) in zip(*scenarios, strict=True)
        if before.number != after.number
    ]
    if scenarios[0].workload != scenarios[1].workload:
        differ.insert(0, f"  workload: {scenarios[0].workload.name}, {scenarios[1].workload.name}")
    lines = [f"{one}: {first.sentence}", f"{other}: {second.sentence}"]
    lines += ["What differs:", *differ] if differ else ["Nothing differs."]
    for before, after in zip(first.scores, second.scores, strict=True):
        if before != after:
            lines += [f"{before.about}:", f"  {one}: {before.sentence}", f"  {other}: {after.sentence}"]
    invocation.out.answer([first, second], *lines)
