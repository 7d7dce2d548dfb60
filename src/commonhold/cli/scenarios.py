"""Where commands that plan take their values from: a file, flags, this network, questions, a comparison's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec

import click

from commonhold.cli.invocation import Invocation
from commonhold.cli.measures import Rate
from commonhold.errors import Conflict, NodeNotRunning, NotFound, WrongUsage
from commonhold.home import require_place, write_whole
from commonhold.plan.queues.workload import WORKLOADS
from commonhold.plan.trials import trial
from commonhold.plan.values.scenario import Provenance, Scenario, Value, parse, told

P = ParamSpec("P")
LONGEST = 2**16  # bytes of a scenario; what takes TOML a minute, with a hundred thousand dots, is longer
LONGEST_TRIAL = 2**26
ANOTHER = "choose another name"

OPTIONS = (
    click.argument("file", required=False),
    click.option("--computers", type=float, metavar="N", help="How many computers."),
    click.option("--workload", type=click.Choice(list(WORKLOADS)), help="What they do most of all."),
    click.option("--link", type=Rate(), metavar="RATE", help="Each computer's link: 100Mbit, 1Gbit."),
    click.option("--strength", type=float, metavar="X", help="How many times as fast the server is, or would be."),
    click.option("--hot", type=float, metavar="PART", help="Part of all requests at the busiest computer: 0.3."),
    click.option("--set", "assigned", multiple=True, metavar="NAME=VALUE", help="Any other value of a scenario."),
)


def of_a_scenario(function: Callable[P, None]) -> Callable[P, None]:
    """A command that takes FILE and the flags of a scenario."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def said(
    invocation: Invocation,
    file: str | None,
    workload: str | None,
    assigned: tuple[str, ...],
    flags: Mapping[str, float | None],
    *,
    ask: bool = False,
) -> Scenario:
    """The scenario of FILE, or of this network, with what was said besides; `ask`: questions, when nothing was."""
    numbers = {name: float(number) for name, number in flags.items() if number is not None} | _assigned(assigned)
    if file is not None:
        return read_scenario(file, workload, numbers)
    counted = known(invocation, numbers)
    if ask and not numbers and workload is None and invocation.out.watched:
        workload, numbers = _asked(counted)
    return Scenario(counted | told(numbers), workload or "office")


def known(invocation: Invocation, numbers: Mapping[str, float]) -> dict[str, Value]:
    """What this computer's network is, if its node runs, beside the numbers that are told; what was measured from
    here, in any case.
    """
    try:
        with invocation.network() as network:
            found = network.scenario(numbers=numbers)
            return {name: value for name, value in found if value.origin is not Provenance.ASSUMED}
    except NodeNotRunning:
        from commonhold.api.planning import measured  # noqa: PLC0415 - late: most who ask have a node that runs

        invocation.out.remark("This network was not asked how large it is: its node is not running (commonhold up).")
        return measured(invocation.home)
    except NotFound:
        return {}


def read_scenario(file: str, workload: str | None = None, numbers: Mapping[str, float] | None = None) -> Scenario:
    """The scenario of a file, with what was said besides."""
    data = _read(file, "scenario", LONGEST, "commonhold advise --save FILE writes one")
    try:
        scenario = parse(data.decode())
    except UnicodeDecodeError:
        raise WrongUsage(f"{file} is no scenario: it is no text.") from None
    return scenario.changed(numbers or {}, workload)


def read_trial(file: str) -> trial.Trial:
    """What a comparison showed."""
    return trial.read(_read(file, "comparison", LONGEST_TRIAL, "commonhold compare --save FILE writes one"))


def require_new(file: str) -> None:
    """Raise what `write_new` would, while there is nothing to write yet."""
    place = Path(file).expanduser()
    if place.exists():
        raise Conflict(f"{file} is there already.", ANOTHER)
    require_place(place)


def write_new(file: str, text: str, hint: str = ANOTHER, *, replace: bool = False) -> None:
    """Write a file that is not there yet; one that is, only with `replace`. Raises Conflict, NotFound."""
    place = Path(file).expanduser()
    try:
        if replace:
            write_whole(place.resolve(), text.encode())  # what was there stays, where the disk is full
            return
        with place.open("w" if place.is_dir() else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise Conflict(f"{file} is there already.", hint) from None
    except OSError as error:
        raise NotFound(f"{file} cannot be written: {error.strerror}.", ANOTHER) from None


def _read(file: str, what: str, most: int, hint: str) -> bytes:
    try:
        with Path(file).expanduser().open("rb") as opened:
            data = opened.read(most + 1)  # a device has no size, and no end
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}.", hint) from None
    if len(data) > most:
        raise WrongUsage(f"{file} is no {what}: it is larger than {most:,} bytes.")
    return data


def _asked(counted: Mapping[str, Value]) -> tuple[str, dict[str, float]]:
    """The five questions, on standard error."""
    numbers = {}
    if "computers" not in counted:
        numbers["computers"] = click.prompt("How many computers", type=float, default=5, err=True)
    workload = click.prompt("What for", type=click.Choice(list(WORKLOADS)), default="office", err=True)
    for name, question, default in (
        ("link", "How fast is each one's link, in Mbit/s", 1000),
        ("hot", "Which part of all requests goes to the busiest computer, from 0 to 1", 0.3),
        ("strength", "How many times as fast as the others is the computer that would be the server", 1),
    ):
        if name not in counted:
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
