"""The Universal Scalability Law: how much of a curve is waiting for one another, and how much is agreeing. *Pure.*

X(N) = gamma N / (1 + alpha (N-1) + beta N (N-1)) (Gunther, Guerrilla Capacity Planning, 2007): alpha is what is done
one after the other, beta what everybody must agree on with everybody. A diagnosis of what was measured and nothing
else: beyond the largest load that it was fitted to it is wrong by tens of parts in a hundred (plan/trials/calibrate.py
predicts).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import msgspec

from commonhold.errors import WrongUsage
from commonhold.plan.trials.trial import STUDENT

FEWEST = 4  # points: three numbers are fitted
MOST_TURNS = 200
CLOSE = 1e-12  # relative change of the error at which the fit stands
CLOSE_TO_NONE = 1e-6  # coefficients that are none but for rounding
STEEPEST = 1e12  # damping at which no step makes it better

Row = tuple[float, float, float]


class Coefficient(msgspec.Struct, frozen=True):
    """A fitted number, its standard error, and between which the true one lies in 95 of 100 such measurements."""

    value: float
    error: float
    low: float
    high: float


class Scaling(msgspec.Struct, frozen=True):
    """`peak`: the load of the highest throughput; None: it rises for ever. `fault`: why it means nothing, or ""."""

    alpha: Coefficient
    beta: Coefficient
    gamma: Coefficient  # throughput of one
    peak: float | None
    fault: str

    @property
    def agreeing(self) -> bool:
        """Whether it is certain (95 in 100) that something must be agreed on with everybody."""
        return not self.fault and self.beta.low > 0


def throughput(alpha: float, beta: float, gamma: float, load: float) -> float:
    """Of the law, at that load."""
    return gamma * load / (1 + alpha * (load - 1) + beta * load * (load - 1))


def fit(loads: Sequence[float], throughputs: Sequence[float]) -> Scaling:
    """By least squares, with Levenberg's damping of Gauss and Newton's steps. Raises WrongUsage for too few points."""
    if len(loads) != len(throughputs) or len(set(loads)) < FEWEST:
        raise WrongUsage(f"The law of scalability needs {FEWEST} different loads at least.")
    if any(load <= 0 for load in loads) or any(each <= 0 for each in throughputs):
        raise WrongUsage("Loads and throughputs are positive.")
    first = min(zip(loads, throughputs, strict=True))
    found: Row = (0.01, 0.0001, first[1] / first[0])
    error, damping = _error(found, loads, throughputs), 1e-3
    for _ in range(MOST_TURNS):
        normal, gradient = _normal(found, loads, throughputs)
        step = _solved([_damped(row, place, damping) for place, row in enumerate(normal)], gradient)
        moved: Row = (found[0] + step[0], found[1] + step[1], found[2] + step[2])
        after = _error(moved, loads, throughputs)
        if after > error:
            damping *= 10
            if damping > STEEPEST:
                break
            continue
        damping = max(damping / 10, 1e-12)
        before, found, error = error, moved, after
        if before - after <= CLOSE * before:
            break
    return _judged(found, error, loads, throughputs)


def _judged(found: Row, error: float, loads: Sequence[float], throughputs: Sequence[float]) -> Scaling:
    free = len(loads) - 3
    student = STUDENT[min(free, len(STUDENT) - 1)]
    normal, _ = _normal(found, loads, throughputs)
    errors = [sqrt(error / free * _solved(normal, _unit(place))[place]) for place in range(3)]
    alpha, beta, gamma = (
        Coefficient(value, each, value - student * each, value + student * each)
        for value, each in zip(found, errors, strict=True)
    )
    negative = " and ".join(name for name, each in (("alpha", alpha), ("beta", beta)) if each.high < -CLOSE_TO_NONE)
    fault = (
        f"{negative} below 0 for certain: more at once did better than as many alone. The measurement is at fault, or"
        " this law does not hold here."
        if negative
        else ""
    )
    peak = sqrt((1 - alpha.value) / beta.value) if beta.value > 0 and alpha.value < 1 else None
    return Scaling(alpha, beta, gamma, peak, fault)


def _error(found: Row, loads: Sequence[float], throughputs: Sequence[float]) -> float:
    return sum((each - throughput(*found, load)) ** 2 for load, each in zip(loads, throughputs, strict=True))


def _normal(found: Row, loads: Sequence[float], throughputs: Sequence[float]) -> tuple[list[list[float]], list[float]]:
    """Of the linear least squares around `found`: J'J and J'r."""
    slopes, rest = [], []
    for load, each in zip(loads, throughputs, strict=True):
        below = 1 + found[0] * (load - 1) + found[1] * load * (load - 1)
        value = found[2] * load / below
        slopes.append((-value * (load - 1) / below, -value * load * (load - 1) / below, load / below))
        rest.append(each - value)
    normal = [[sum(row[a] * row[b] for row in slopes) for b in range(3)] for a in range(3)]
    return normal, [sum(row[a] * left for row, left in zip(slopes, rest, strict=True)) for a in range(3)]


def _damped(row: Sequence[float], place: int, damping: float) -> list[float]:
    return [each * (1 + damping) if column == place else each for column, each in enumerate(row)]


def _solved(rows: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Three linear equations, by elimination; scaled, since beta is thousands of times smaller than gamma."""
    scale = [sqrt(rows[place][place]) or 1.0 for place in range(3)]
    work = [
        [each / scale[row] / scale[column] for column, each in enumerate(rows[row])] + [right[row] / scale[row]]
        for row in range(3)
    ]
    for place in range(3):
        pivot = max(range(place, 3), key=lambda row, column=place: abs(work[row][column]))  # type: ignore[misc]
        work[place], work[pivot] = work[pivot], work[place]
        for row in range(3):
            if row != place and work[place][place]:
                factor = work[row][place] / work[place][place]
                work[row] = [a - factor * b for a, b in zip(work[row], work[place], strict=True)]
    return [work[place][3] / (work[place][place] or 1.0) / scale[place] for place in range(3)]


def _unit(place: int) -> list[float]:
    return [float(column == place) for column in range(3)]
