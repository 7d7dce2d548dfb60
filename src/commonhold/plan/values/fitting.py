"""From readings to figures: how they spread, and which line lies nearest to them. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commonhold.errors import WrongUsage

LOW, HIGH = 0.1, 0.9  # 8 of 10 lie between


class Middle(NamedTuple):
    """The middle of several readings, and between which 8 of 10 of them lie."""

    middle: float
    low: float
    high: float


class Fitted(NamedTuple):
    """So much for each operation, and so much more for each byte of it."""

    each: float
    byte: float


def spread(readings: Sequence[float]) -> Middle:
    """Raises WrongUsage for no readings; one alone has no spread.

    >>> spread([30.0, 10.0, 20.0])
    Middle(middle=20.0, low=12.0, high=28.0)
    """
    if not readings:
        raise WrongUsage("A spread needs a reading at least.")
    ordered = sorted(readings)
    middle, low, high = (_quantile(ordered, part) for part in (0.5, LOW, HIGH))
    return Middle(middle, low, high)


def line(readings: Sequence[tuple[float, float]]) -> Fitted:
    """The line through (bytes, seconds) whose relative errors have the smallest squares.

    Relative, since an error of a millisecond is much of a small file's time, and nothing of a large one's. Neither
    number is below nothing: no operation gives time back. Raises WrongUsage for readings of a single size, or of no
    time.
    """
    if len({size for size, _ in readings}) < 2 or any(seconds <= 0 or size < 0 for size, seconds in readings):
        raise WrongUsage("A line needs readings of two sizes, each of which took some time.")
    # With weights 1/y²: the normal equations of a + b x = y.
    ones = sum(1 / y**2 for _, y in readings)
    xs = sum(x / y**2 for x, y in readings)
    squares = sum(x * x / y**2 for x, y in readings)
    ys = sum(1 / y for _, y in readings)
    products = sum(x / y for x, y in readings)
    determinant = ones * squares - xs * xs
    each = (squares * ys - xs * products) / determinant
    byte = (ones * products - xs * ys) / determinant
    if each < 0:
        return Fitted(0.0, products / squares)
    if byte < 0:
        return Fitted(ys / ones, 0.0)
    return Fitted(each, byte)


def _quantile(ordered: Sequence[float], part: float) -> float:
    """Between the two nearest, in proportion."""
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    # Not a + f (b - a): that may leave what the two enclose by a rounding.
    value = ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)
    return min(max(value, ordered[below]), ordered[above])
