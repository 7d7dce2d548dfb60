"""`commonhold compare`."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.measures import Crowds, Number, Placement, Rate
from commonhold.cli.output import counted
from commonhold.cli.scenarios import read_scenario
from commonhold.errors import Interrupted, WrongUsage
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.workload import WORKLOADS, Workload
from commonhold.plan.trials.outcome import slowdown
from commonhold.plan.trials.script import scaled
from commonhold.plan.trials.trial import Arrangement, Band, Circumstances, Point, Trial
from commonhold.plan.values.scenario import Provenance

if TYPE_CHECKING:
    from commonhold.lab.comparing import Comparison, Venues

HEADS = ("arrangement", "people", "requests/s", "mean ms", "p95 ms", "errors", "owner slowed")
FEWEST_COMPUTERS, MOST_COMPUTERS = 3, 200


@declare(
    "compare",
    "commonhold compare --quick",
    "commonhold compare --computers 16 --people 2,4,8,16 --link 20Mbit --save trial.json",
    "commonhold compare --workload media --link 100Mbit --placement even --placement hot:0.5",
    "commonhold compare --workload office.toml --naive",
    "commonhold compare --here --server tower --share files",
)
@click.option(
    "--computers", type=click.IntRange(FEWEST_COMPUTERS, MOST_COMPUTERS), metavar="N", help="How many.  [default: 8]"
)
@click.option(
    "--people", type=Crowds(), metavar="N,N…", help="How many ask at once.  [default: 1,2,4… to all computers]"
)
@click.option("--link", type=Rate(), metavar="RATE", help="Each computer's link, each way.  [default: 20Mbit]")
@click.option("--power", type=Number(0, 64), metavar="CORES", help="Each one's processor; 0: no cap.  [default: 0]")
@click.option("--strength", type=Number(0.1, 100), metavar="X", help="How many times as much the server has.")
@click.option("--workload", metavar="NAME|FILE", help=f"{', '.join(WORKLOADS)}, or a scenario.  [default: fileserver]")
@click.option("--think", type=Number(0, 3600), metavar="S", help="Seconds between an answer and the next request.")
@click.option(
    "--placement",
    "placements",
    type=Placement(),
    multiple=True,
    metavar="even|hot:PART",
    help="Which of the peers is asked; may be given several times.  [default: even]",
)
@click.option("--naive", is_flag=True, help="A peer-to-peer network as the textbook means it, too.")
@click.option("--repeats", type=click.IntRange(1, 100), metavar="N", help="Of each point.  [default: 5]")
@click.option(
    "--requests", type=click.IntRange(1, 1_000_000), metavar="N", help="Of each point, at least.  [default: 300]"
)
@click.option("--seed", type=click.IntRange(0), default=20, metavar="N", help="Of chance: the same, the same requests.")
@click.option("--save", metavar="FILE", help="Keep it, after every point; the same command goes on with it.")
@click.option("--quick", is_flag=True, help="Few requests: whether it works, rather than how well.")
@click.option("--loopback", is_flag=True, help="No network for each computer, even as root.")
@click.option("--here", is_flag=True, help="On the computers of this network, not on this machine alone.")
@click.option("--server", metavar="COMPUTER", help="With --here: which one is taken for the server.")
@click.option("--share", metavar="NAME", help="With --here: the share of each computer that is used.  [default: files]")
@click.option("--yes", is_flag=True, help="With --here: do not ask.")
def command(invocation: Invocation, /, **said: Any) -> None:
    """The same people ask the same in client-server and in peer-to-peer: real nodes, real files and jobs, on this
    machine, whose computers are held to the rate of a link and a part of a processor, or with --here on real ones.

    Of a scenario, as advise writes it, count computers, link, strength, workload and thinking. As root each computer
    gets a network of its own; else they share the loopback, and docs/comparing.md says what that cannot show.
    A task of the workload compute shrinks with --think. One person alone, and more and more people until something
    is busy all the time, are always among what is tried: models are calibrated with them.
    """
    setup = Setup(said)
    if said["here"]:
        _on_the_network(invocation, setup)
        return
    if said["server"] or said["share"] or said["yes"]:
        raise WrongUsage("--server, --share and --yes are for --here.")
    from commonhold.lab.town import best_way  # noqa: PLC0415 - late: the laboratory loads the node's libraries
    from commonhold.lab.venues import InTown  # noqa: PLC0415

    wanted = setup.comparison(setup.computers, "loopback" if said["loopback"] else best_way())
    _perform(invocation, setup, wanted, lambda each: InTown(wanted, each, invocation.out.remark))


def _on_the_network(invocation: Invocation, setup: Setup) -> None:
    """With --here."""
    from commonhold.lab import here  # noqa: PLC0415 - late, as everything of the laboratory

    said = setup.said
    for name in ("computers", "link", "power", "strength", "naive", "loopback"):
        if said[name]:
            raise WrongUsage(f"--{name} is for computers of this machine; those of a network are what they are.")
    if not said["server"]:
        raise WrongUsage("Which computer is taken for the server?", "--server COMPUTER")
    share = said["share"] or "files"
    with invocation.network() as net:
        computers, without = here.asked(net, said["server"], share)
        wanted = setup.comparison(len(computers), "real")
        for each in without:
            invocation.out.remark(each)
        if not said["yes"]:
            long = _duration(_estimated(wanted, None))
            if not click.confirm(f"Ask {', '.join(computers)} for {long}, and store files there meanwhile?", err=True):
                raise Interrupted("Nothing was done.")
        _perform(
            invocation,
            setup,
            wanted,
            lambda arrangement: here.Here(
                net, invocation.home.folder, computers, share, arrangement, wanted.files(), invocation.out.remark
            ),
        )


def _perform(invocation: Invocation, setup: Setup, wanted: Comparison, venues: Venues) -> None:
    from commonhold.lab.comparing import Comparing  # noqa: PLC0415 - late, as everything of the laboratory
    from commonhold.lab.kept import TrialFile  # noqa: PLC0415
    from commonhold.node.computer import ended_alike  # noqa: PLC0415

    out, said = invocation.out, setup.said
    file = TrialFile(Path(said["save"]).expanduser()) if said["save"] else None
    begun = file.begun(wanted.circumstances) if file else None
    out.remark(f"This takes about {_duration(_estimated(wanted, begun))}.")

    def save(trial: Trial) -> None:
        if file is not None:
            file.save(trial)

    with ended_alike():
        trial = Comparing(wanted, venues, begun, save, out.remark).run()
    out.table(trial, HEADS, [_row(point) for each in trial.arrangements for point in trial.of(each)], "")
    for warning in trial.warnings:
        out.remark(f"warning: {warning}")


def _estimated(wanted: Comparison, begun: Trial | None) -> float:
    from commonhold.lab.comparing import estimate  # noqa: PLC0415 - late, as everything of the laboratory

    return estimate(wanted, begun)


def _row(point: Point) -> tuple[str, ...]:
    from commonhold.lab.comparing import named  # noqa: PLC0415 - late, as everything of the laboratory

    slowed = slowdown(point)
    return (
        named(point.arrangement),
        str(point.people),
        _banded(point.throughput),
        _banded(point.response, 1000),
        _banded(point.band(lambda each: each.p95), 1000),
        str(sum(each.errors for each in point.repeats)),
        _banded(slowed) if slowed else "-",
    )


def _banded(band: Band, times: float = 1.0) -> str:
    """`9.14 ± 0.35`: the true mean lies within, in 95 of 100 comparisons; alone where there was one repeat."""
    mean, within = band.mean * times, (band.high - band.mean) * times
    digits = 0 if mean >= 100 else 1 if mean >= 10 else 2
    return f"{mean:.{digits}f}" + (f" ± {within:.{digits}f}" if isfinite(within) else "")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else counted(round(seconds / 60), "minute")


class Setup:
    """What was typed, then what a scenario's file says, then what is usual. Raises WrongUsage for nonsense."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self._workload, self._values = _workload(said["workload"] or "fileserver")
        self.computers = int(self._number("computers", 8))
        think = self._number("think", self._workload.think)
        if not think and any(each.seconds for each in self._workload.operations):
            raise WrongUsage("Tasks shrink with --think, and with none there would be none.", "--think 0.5")
        self.workload = scaled(self._workload, think)
        if self.computers not in range(FEWEST_COMPUTERS, MOST_COMPUTERS + 1):
            raise WrongUsage(
                f"{self.computers} computers: from {FEWEST_COMPUTERS} to {MOST_COMPUTERS} can be compared."
            )
        self.repeats = said["repeats"] or (2 if said["quick"] else 5)
        self.requests = said["requests"] or (40 if said["quick"] else 300)

    def comparison(self, computers: int, caps: Literal["namespaces", "loopback", "real"]) -> Comparison:
        """Of so many computers that can be asked, one of which may be the server."""
        from commonhold.lab.comparing import Comparison  # noqa: PLC0415 - late, as everything of the laboratory

        real, said = caps == "real", self.said
        circumstances = Circumstances(
            self.workload.name,
            computers,
            self.workload.think,
            said["seed"],
            caps,
            0.0 if real else self._number("link", 20.0),
            0.0 if real else said["power"] or 0.0,
            1.0 if real else self._number("strength", 1.0),
            0 if real or said["power"] else os.cpu_count() or 1,
            shlex.join(["commonhold", *sys.argv[1:]]),
            f"{platform.platform()}, {counted(os.cpu_count() or 1, 'processor')}",
            datetime.now(UTC).date(),
        )
        people = tuple(sorted({1, *(said["people"] or _doubling(computers))}))
        hots = tuple(dict.fromkeys(said["placements"])) or (0.0,)
        arrangements = [Arrangement(Shape.CLIENT_SERVER)]
        arrangements += [Arrangement(Shape.PEER_TO_PEER, hot) for hot in hots]
        arrangements += [Arrangement(Shape.PEER_TO_PEER, hot, naive=True) for hot in hots if said["naive"]]
        for each in arrangements:
            if each.hot and each.hot <= 1 / computers:
                raise WrongUsage(f"hot:{each.hot:g} is less than an equal part of {computers} computers.", "even")
        shortest, saturate = (1.0, False) if said["quick"] else (3.0, not real)
        return Comparison(
            circumstances,
            self.workload,
            people,
            tuple(arrangements),
            self.repeats,
            self.requests,
            shortest,
            saturate,
        )

    def _number(self, name: str, usual: float) -> float:
        if self.said.get(name) is not None:
            return float(self.said[name])
        return self._values.get(name, usual)


def _workload(word: str) -> tuple[Workload, dict[str, float]]:
    """The workload of that name, or of the scenario in that file with what the file says."""
    if word in WORKLOADS:
        return WORKLOADS[word], {}
    if not Path(word).expanduser().exists():
        raise WrongUsage(
            f"“{word}” is no workload, and no file.",
            f"{', '.join(WORKLOADS)}; commonhold advise --save FILE writes one",
        )
    found = read_scenario(word)
    said = {name: value.number for name, value in found if value.origin is not Provenance.ASSUMED}
    return found.workload, said


def _doubling(computers: int) -> list[int]:
    """2, 4, 8 … and as many as there are computers."""
    return [2**power for power in range(1, computers.bit_length()) if 2**power < computers] + [computers]
