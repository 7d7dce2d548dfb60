"""`commonhold expose`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned, counted, size

if TYPE_CHECKING:
    from commonhold.plan.reach.exposure import Exposed, Exposure, Pivot, WhatIf

HEADS = ("SEVERITY", "WHAT", "OF", "READ", "DESTROY", "BEYOND VERSIONS", "DOORS", "AT")
PIVOTS = "What decides most, and how the mean of all keys and passwords changes without it:"
MOST_PIVOTS = 10  # shown; `--json` has them all


@declare(
    "expose",
    "commonhold expose",
    "commonhold expose --explain",
    "commonhold expose --bytes",
    "commonhold expose --what-if 'allow bob write photos'",
    "commonhold expose --what-if 'deny members read tower:photos'",
    "commonhold expose --what-if 'remove bob'",
)
@click.option("--what-if", metavar="CHANGE", default="", help="Tell what one change would do. Nothing is changed.")
@click.option("--explain", is_flag=True, help="Print for each door by which steps it opens.")
@click.option("--bytes", "by_bytes", is_flag=True, help="Count bytes instead of files.")
def command(invocation: Invocation, what_if: str, explain: bool, by_bytes: bool) -> None:
    """For each key, password and computer: which part of all files whoever steals it could read, destroy, and destroy
    so that no version is left, and how many doors at how many computers it opens. Computed from the rules as they are,
    and what follows from them: whoever says the rules somewhere lets themselves in.

    In peer-to-peer a computer knows its own doors, and those of its person's other computers. CHANGE is one of: allow
    or deny WHO VERB DOOR; group add or remove GROUP PERSON; remove MEMBER.
    """
    with invocation.network() as network:
        found = network.expose(what_if, "bytes" if by_bytes else "files")
    lines = [_scope(found), *(f"warning: {each}" for each in found.warnings)]
    lines += [""] if found.known or what_if else []
    if found.what_if is not None:
        lines += _change(found.what_if)
    elif found.known:  # else all would be harmless, and nothing is known of it
        lines += aligned([HEADS, *map(_cells, found.rows)])
        lines += ["", PIVOTS] if found.pivots else []
        lines += [_pivot(each) for each in found.pivots[:MOST_PIVOTS]]
        lines += [line for row in found.rows for line in _ways(row)] if explain else []
    invocation.out.answer(found, *lines)


def _scope(found: Exposure) -> str:
    known = (
        f"{counted(found.files, 'file')} ({size(found.bytes)}) in the shares of {', '.join(found.known) or 'nobody'}."
    )
    if not found.unknown:
        return known
    return f"{known} Of {', '.join(found.unknown)} nothing is known: a computer tells its rules to whoever keeps them."


def _cells(row: Exposed) -> tuple[str, ...]:
    parts = (row.read, row.destroy, row.gone)
    what = f"computer {row.name}" if row.kind == "computer" else row.name
    return row.severity, what, row.person or "-", *map(_part, parts), str(row.doors), counted(row.computers, "computer")


def _part(part: float) -> str:
    """Nothing is nothing and all is all, however many files there are."""
    if part in {0.0, 1.0}:
        return f"{part:.0%}"
    return f"{min(max(part, 0.001), 0.999):.1%}"


def _pivot(pivot: Pivot) -> str:
    return f"  {pivot.computer}: {pivot.fact}: read {-pivot.read:+.1%}, destroy {-pivot.destroy:+.1%}"


def _ways(row: Exposed) -> Iterator[str]:
    yield ""
    yield f"{_cells(row)[1]}:"
    if not row.approaches:
        yield "  opens no door that is known here"
    for each in row.approaches:
        yield f"  {each.door}: {each.extent}: {' → '.join(each.steps)}"


def _change(change: WhatIf) -> list[str]:
    lines = [f"If that were so: {change.said}", ""]
    if not change.shifts:
        return [*lines, "Nothing that is shown here would change."]
    rows: list[tuple[str, ...]] = [("WHAT", "OF", "READ", "DESTROY", "BEYOND VERSIONS", "DOORS")]
    for each in change.shifts:
        before, after = each.before, each.after
        row = after or before
        if row is None:
            continue
        cells = [_cells(side)[3:7] if side else ("-",) * 4 for side in (before, after)]
        changed = [one if one == other else f"{one} → {other}" for one, other in zip(*cells, strict=True)]
        rows.append((*_cells(row)[1:3], *changed))
    return lines + aligned(rows)
