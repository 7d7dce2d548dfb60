"""What every part of the benchmarks gives: rows of a table; and what they measure with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One figure: what was measured, what came out (with its unit), and what is promised, if anything is."""

    what: str
    measured: str
    promised: str = ""


def seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
