"""Advice held against measurements: one calibration predicts all other loads, in both shapes.

Two comparisons by `commonhold compare`, kept in build/validation and taken up where they stopped: 16 computers with
files, 6 with tasks. Models are calibrated with one person and with many at the server; every other point was held
out, and stands below, also where it misses. `commonhold model --trial FILE` prints the bands.

What is off grows with the load, and in one direction: more waits than the models know of. Not in them are a link's
other end, at which people among peers meet what their own computer serves; TCP's ways of sharing a link; and that a
request costs the one machine that plays all more where sixteen nodes take turns than where one server is busy, with
which it is calibrated. With more people than computers that machine is what all wait for. With tasks it is so from
three people on: six computers of 0.4 cores are more than a machine of two has beside their nodes and people, and the
server, whose own 0.4 cores are busy with one person already, shows nothing of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rows import Row

from commonhold.cli.verified import named
from commonhold.plan.seeded import validated
from commonhold.plan.trials import trial as trials
from commonhold.plan.trials.validate import HeldOut, Validation

KEPT = Path(__file__).parent.parent / "build" / "validation"
COMMON = ("--placement", "even", "--placement", "hot:0.5")
COMPARISONS = {
    "fileserver": "--computers 16 --people 1,2,4,8,12,16 --workload fileserver --think 0.2 --link 20Mbit",
    "compute": "--computers 6 --people 1,3,5 --workload compute --think 0.1 --power 0.4 --link 100Mbit",
}
BARS = {"throughput": (0.10, 0.05), "response": (0.25, 0.15), "p95": (0.35, None)}  # each, and in the middle
LOW = 0.85  # of all points at least lie in bands that are meant for nine in ten


def notes() -> str:
    return (__doc__ or "").partition("\n\n")[2].strip()


def rows() -> list[Row]:
    found = []
    for workload, words in COMPARISONS.items():
        trial = trials.read(_compared(workload, words).read_bytes())
        validation = validated(trial)
        found += [_summary(workload, validation.points, trial.circumstances.computers, of) for of in BARS]
        found += [_ranking(workload, validation), *(_point(workload, each) for each in validation.points)]
    return found


def _compared(workload: str, words: str) -> Path:
    """The comparison's file, complete; it goes on with what is there."""
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / f"{workload}.json"
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(
            [sys.executable, "-m", "commonhold", "compare", *words.split(), *COMMON, "--save", str(file)],
            check=True,
            env=os.environ | {"COMMONHOLD_HOME": home},
            stdout=subprocess.DEVNULL,
        )
    return file


def _summary(workload: str, points: Sequence[HeldOut], computers: int, of: str) -> Row:
    """Of 2 people up to as many as computers; of more, apart."""
    each, middle = BARS[of]
    held = [(getattr(point, of), point.people) for point in points if not point.calibrated and point.people > 1]
    within = [figure for figure, people in held if people <= computers]
    beyond = [abs(figure.error) for figure, people in held if people > computers]
    errors = [abs(figure.error) for figure in within]
    near, inside = sum(error <= each for error in errors), sum(figure.inside for figure in within) / len(within)
    promised = f"≤ {each:.0%} each" + (f", ≤ {middle:.0%} in the middle" if middle else "")
    more = f"; of more people {max(beyond):.1%} at most" if beyond else ""
    return Row(
        f"{workload}: {of}, {len(within)} points of 2 to {computers} people held out",
        f"{median(errors):.1%} in the middle, {max(errors):.1%} at most; {near} of {len(within)} keep the bound,"
        f" {inside:.0%} lie in the bands{more}",
        f"{promised}; ≥ {LOW:.0%} in the bands",
    )


def _ranking(workload: str, validation: Validation) -> Row:
    what = f"{workload}: which of two arrangements is faster, where means differ by a fifth"
    return Row(what, f"right {validation.ranked} of {validation.pairs} times", "each time")


def _point(workload: str, point: HeldOut) -> Row:
    figures = (
        f"{name} {figure.measured * scale:.{digits}f}, predicted {figure.predicted * scale:.{digits}f}"
        f" ({figure.error:+.0%}{'' if abs(figure.error) <= BARS[of][0] else ', misses'})"
        for name, of, figure, scale, digits in (
            ("X", "throughput", point.throughput, 1, 2),
            ("R", "response", point.response, 1000, 0),
            ("p95", "p95", point.p95, 1000, 0),
        )
    )
    people = f"{point.people} {'person' if point.people == 1 else 'people'}"
    calibrated = ", calibrated with it" if point.calibrated else ""
    return Row(f"{workload}, {named(point.arrangement)}, {people}{calibrated} (requests/s, ms)", "; ".join(figures))
