"""What a picture shows, as a table: the same cells stand in its CSV file, in the page, and in the picture. *Pure.*"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from math import isfinite
from typing import Literal, NamedTuple

from commonhold.names import visible

Cell = str | float | None  # None: nothing is known
Kind = Literal[
    "bounded",  # one panel a group: x, measured with its band, computed, bounds, knee
    "curves",  # all groups in one panel: x, value with its band, computed
    "bars",  # one panel a group: a name, a value
    "marks",  # one panel a group: a name, several values from 0 to 1
    "tornado",  # a name, what it is at its ends, the outcome at them, the outcome itself
    "table",  # no picture
]
DIGITS = 6
OBEYED = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes with a text that begins so


class Column(NamedTuple):
    name: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Sheet(NamedTuple):
    """Rows under columns, each as long as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def heads(self) -> list[str]:
        return [str(each) for each in self.columns]

    def cells(self) -> list[list[str]]:
        """As people read them: six digits, and nothing where nothing is known."""
        return [[shown(cell) for cell in row] for row in self.rows]

    def csv(self) -> bytes:
        """RFC 4180, UTF-8. A text that a spreadsheet would compute with begins with an apostrophe."""
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow(self.heads)
        for row in self.rows:
            cells = zip(row, map(shown, row), strict=True)
            writer.writerow(
                [f"'{said}" if isinstance(cell, str) and said[:1] in OBEYED else said for cell, said in cells]
            )
        return text.getvalue().encode(errors="replace")


class Chart(NamedTuple):
    """One picture, or a table alone. `name` is the end of its file's, and its place in the page.

    The first column of all kinds but `tornado` and `table` says to which of `groups` a row belongs: they have the same
    colours and marks in all pictures of a report.
    """

    name: str
    title: str
    caption: str
    kind: Kind
    sheet: Sheet
    groups: tuple[str, ...] = ()
    alternative: str = ""  # what the picture shows, for whoever does not see it

    def of(self, group: str) -> Iterator[tuple[Cell, ...]]:
        """The rows of one group, without its name."""
        return (row[1:] for row in self.sheet.rows if row[0] == group)

    @property
    def shown_groups(self) -> list[str]:
        there = {row[0] for row in self.sheet.rows}
        return [group for group in self.groups if group in there]


def shown(cell: Cell) -> str:
    """
    >>> shown(0.123456789), shown(1234567.0), shown(3), shown(None), shown("tower"), shown(float("inf"))
    ('0.123457', '1234567', '3', '', 'tower', '')
    """
    if cell is None or isinstance(cell, str):
        return visible(cell or "")
    if not isfinite(cell):
        return ""
    if cell == int(cell) or abs(cell) >= 10**DIGITS:
        return str(round(cell))
    return f"{cell:.{DIGITS}g}"


def sheet(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Sheet:
    return Sheet(tuple(columns), tuple(tuple(row) for row in rows))
