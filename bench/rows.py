"""What every part of the benchmarks gives: rows of a table; and what they measure with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

Figures = dict[str, float]  # by whose they are


class Row(NamedTuple):
    """One figure: what was measured, what came out (with its unit), and what is promised, if anything is."""

    what: str
    measured: str
    promised: str = ""


def listed(figures: Figures, unit: str, digits: int = 0) -> str:
    """Whose figure is what: `Commonhold 12, rclone 9 MB/s`."""
    return ", ".join(f"{name} {value:,.{digits}f}" for name, value in figures.items()) + f" {unit}"


def seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
