"""How a comparison is shown beside what the models predicted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from commonhold.cli.output import aligned
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.trial import Arrangement
from commonhold.plan.trials.validate import HeldOut, Scales, Validation, Verified
from commonhold.plan.values.amounts import rate, time

HEADS = ("people", "a second", "predicted", "", "", "mean wait", "predicted", "", "", "95 % below", "predicted", "", "")


def compared(found: Validation) -> Iterator[str]:
    """Every point, also those that miss; then how often and how far."""
    known = found.calibration
    yield from (f"warning: {each}" for each in found.warnings)
    yield (
        f"Calibrated with one person and {known.people} at the server. A request needs {time(known.processor)} of a"
        f" core, {time(known.disk)} of a disk and, for each MB, {time(known.per_byte * 1e6)} of a link;"
        f" {_beside(known.fixed)}" + _of_all(known.machine)
    )
    for arrangement, points in groupby(found.points, key=lambda point: point.arrangement):
        yield ""
        yield f"{named(arrangement)}:"
        yield from (f"  {line}" for line in aligned([HEADS, *map(_row, points)]))
    yield ""
    yield "Of what was predicted (* is what models were calibrated with):"
    for each in found.summaries:
        yield (
            f"  {each.of}: {each.points} points, off by {each.median:.1%} in the middle and {each.most:.1%} at most;"
            f" {each.inside:.0%} lie in the bands"
        )
    if found.pairs:
        yield f"  which of two is faster, a fifth or more: right {found.ranked} of {found.pairs} times"
    yield from _diagnosis(found.scaling)


def named(arrangement: Arrangement) -> str:
    """`peer-to-peer, half at one computer`."""
    if arrangement.shape is Shape.CLIENT_SERVER:
        return str(arrangement.shape)
    where = f"{arrangement.hot:.0%} at one computer" if arrangement.hot else "evenly"
    return f"{arrangement.shape}, {where}" + (", as textbooks have it" if arrangement.naive else "")


def _row(point: HeldOut) -> list[str]:
    people = f"{point.people} *" if point.calibrated else f"{point.people}"
    return [people, *_cells(point.throughput, rate), *_cells(point.response, time), *_cells(point.p95, time)]


def _cells(found: Verified, said: Callable[[float], str]) -> list[str]:
    mark = "" if found.inside else "  out"
    return [
        said(found.measured),
        said(found.predicted),
        f"{found.error:+.0%}{mark}",
        f"({said(found.low)} to {said(found.high)})",
    ]


def _diagnosis(scaling: tuple[Scales, ...]) -> Iterator[str]:
    if not scaling:
        return
    yield "Coordination, by the universal scalability law (a diagnosis, no forecast):"
    for each in scaling:
        law = each.law
        if law.fault:
            yield f"  {named(each.arrangement)}: {law.fault}"
            continue
        certain = "everybody agrees with everybody" if law.agreeing else "no agreeing for certain"
        yield (
            f"  {named(each.arrangement)}: waiting {law.alpha.value:.4f} ({law.alpha.low:.4f} to {law.alpha.high:.4f}),"
            f" agreeing {law.beta.value:.6f} ({law.beta.low:.6f} to {law.beta.high:.6f}): {certain}"
        )


def _beside(fixed: float) -> str:
    return f"{time(fixed)} pass beside." if fixed >= 0 else f"For {time(-fixed)} two of them pass at the same time."


def _of_all(machine: float) -> str:
    return f" The machine that plays all computers is busy with it for {time(machine)}." if machine else ""
