"""`commonhold lend`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned, counted, local, size
from commonhold.cli.words import Default, OrDefault, Size

if TYPE_CHECKING:
    from commonhold.answers import Guest, LendingNow
    from commonhold.home import LendingTerms

DEFAULT = 0  # as the API says it


@declare(
    "lend",
    "commonhold lend",
    "commonhold lend --for bob",
    "commonhold lend --cores 2 --memory 4GB --disk 20GB",
    "commonhold lend --when idle --hours 19-7",
    "commonhold lend --hours always --cores default",
    "commonhold lend --when never",
)
@click.option("--cores", type=OrDefault(click.IntRange(1)), metavar="N", help="How many at most.  [default: all]")
@click.option("--memory", type=OrDefault(Size()), help="For all guests together.  [default: half of what there is]")
@click.option("--disk", type=OrDefault(Size()), help="For all guests together.  [default: half of what is free]")
@click.option("--when", type=click.Choice(["always", "idle", "never"]), help="`idle`: while nobody uses it.")
@click.option("--hours", metavar="HOURS", help="Of each day, local time: 19-7, 8:30-17, or always.")
@click.option("--for", "who", multiple=True, metavar="WHO", help="Who may run here from now on; may be given again.")
def command(
    invocation: Invocation,
    *,
    cores: int | Default | None,
    memory: int | Default | None,
    disk: int | Default | None,
    when: str | None,
    hours: str | None,
    who: tuple[str, ...],
) -> None:
    """Without options it shows the terms, and who computes here now. What no option names stays as it is; `default`
    takes a bound back.

    When the terms end while guests compute here, these are frozen at once; after a minute their tasks are given back
    and run elsewhere. `--when never` ends them at once. The terms are for everybody but the owner. Who may come at all,
    rules say: --for bob is the same as commonhold allow bob run compute, and takes nobody else's right away; commonhold
    deny bob run compute takes it back.
    """
    with invocation.network() as network:
        now = network.lend(
            *who, when=when, cores=_amount(cores), memory=_amount(memory), disk=_amount(disk), hours=hours
        )
    invocation.out.answer(now, *_lines(now))


BEHIND = {  # how guests give way
    "group": ", and have 1 % of a core that you want",
    "class": ", and have 1.5 % of a core that you want",
    "share": ", and may have half of a core that you want (commonhold doctor)",
}


def _amount(typed: int | Default | None) -> int | None:
    return DEFAULT if typed == "default" else typed


def _lines(now: LendingNow) -> list[str]:
    if now.when == "never":
        lines = [f"{now.computer} lends nothing: commonhold lend --when always"]
    else:
        lines = [
            f"{now.computer} lends {terms(now)}; tasks are held by {now.sandbox}{BEHIND.get(now.precedence, '')}.",
            f"Who may: {', '.join(now.people)}." if now.people else "Nobody may: commonhold lend --for WHO",
        ]
    if now.reason and now.when != "never":
        lines.append(f"At present it {now.reason}{f': {now.use}' if now.use else ''}.")
    return [*lines, *(guest_lines(now.guests) or ["Nobody computes here now."])]


def terms(lent: LendingTerms) -> str:
    """In a few words: `always, 19-7: 2 cores, 4.0 GB of memory, half of what is free on the disk`."""
    if lent.when == "never":
        return "nothing"
    cores = counted(lent.cores, "core") if lent.cores else "all cores"
    memory = f"{size(lent.memory)} of memory" if lent.memory else "half of its memory"
    disk = f"{size(lent.disk)} of its disk" if lent.disk else "half of what is free on its disk"
    hours = f", {lent.hours}" if lent.hours else ""
    when = "while nobody uses it" if lent.when == "idle" else lent.when
    return f"{when}{hours}: {cores}, {memory}, {disk}"


def guest_lines(guests: Sequence[Guest]) -> list[str]:
    """Who computes here: a line each."""
    return aligned([guest_words(guest) for guest in guests]) if guests else []


def guest_words(guest: Guest) -> tuple[str, ...]:
    what = "; ".join(command.replace("\n", " ") for command in guest.commands) or "nothing at present"
    return f"{guest.person} ({guest.computer})", guest.state, f"since {local(guest.since)}", what
