"""The one place that prints.

With `--json` exactly one document goes to standard output, an error included; without it, lines for
people. Errors go to standard error, `commonhold: SENTENCE`, then `hint: …`. Names and texts that come from other
computers are shown with control and invisible characters replaced, so that no file name moves
the cursor or turns the reading direction.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from commonhold.errors import CommonholdError, Interrupted

if TYPE_CHECKING:
    from rich.console import Console

MOST_FAILURES = 10  # shown one by one; `--json` has them all
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Output:
    """Where one command's result and errors go."""

    def __init__(self, json: bool = False) -> None:
        self.json = json
        self._answered = False

    @property
    def terminal(self) -> bool:
        """Whether a person watches: decides about tables with colours, and nothing about content."""
        return not self.json and sys.stdout.isatty()

    @property
    def watched(self) -> bool:
        """Whether progress is shown (on standard error)."""
        return self.terminal and sys.stderr.isatty()

    def answer(self, value: object, *lines: str) -> None:
        """The result: `value` as the document, or `lines` for people."""
        if self.json:
            self._document(value)
        else:
            for line in lines:
                click.echo(shown(line))

    def lines(self, lines: Iterable[str]) -> None:
        """One line for each record of a list; with `--json` each line is a record's document."""
        if not self.json:
            for line in lines:
                click.echo(shown(line))
            return
        self._answered = True
        click.echo("[", nl=False)
        for number, line in enumerate(lines):
            click.echo(f"{',' if number else ''}{line}", nl=False)
        click.echo("]")

    def table(self, value: object, heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        """A list of records: `value` as the document, or `rows` under `heads`, or the sentence `empty`."""
        if self.json:
            self._document(value)
        elif not rows:
            click.echo(empty, err=True)
        elif self.terminal:
            self._rich_table(heads, rows)
        else:
            for line in aligned([heads, *rows]):
                click.echo(shown(line))

    def qr(self, text: str) -> None:
        """`text` as a picture for a phone's camera, two rows of squares in a line, on any background."""
        import segno  # noqa: PLC0415 - late: for terminals only

        segno.make_qr(text).terminal(sys.stdout, border=2, compact=True)

    def remark(self, sentence: str) -> None:
        """Something beside the result, for people only."""
        if not self.json:
            click.echo(shown(sentence), err=True)

    def content(self, chunks: Iterable[bytes]) -> None:
        """A file's content, as it is."""
        stream = sys.stdout.buffer
        for chunk in chunks:
            stream.write(chunk)
        stream.flush()

    def text(self, text: str, err: bool = False, closed: bool = True) -> None:
        """What another program printed: harmless on a terminal, as it is elsewhere; `closed`: ends with its line."""
        watched = (sys.stderr if err else sys.stdout).isatty()
        open_line = bool(text) and not text.endswith("\n")
        # color: what is no terminal gets every byte; click would take out some of what a terminal obeys.
        click.echo(shown(text) if watched else text, nl=open_line and (closed or watched), err=err, color=True)

    def error(self, error: CommonholdError, usage: str = "") -> None:
        """Print an error; with `--json` also as the document, unless the result was one already."""
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            click.echo(err=True)  # the terminal has drawn ^C on the line
        click.echo(f"commonhold: {shown(error.sentence)}", err=True)
        if error.hint:
            click.echo(f"hint: {shown(error.hint)}", err=True)
        for failure in error.more.get("failed", ())[:MOST_FAILURES]:
            click.echo(shown(f"  {failure['path']}: {failure['error']}".replace("\n", "�")), err=True)
        if usage:
            click.echo(usage, err=True)
        if self.json and not self._answered:
            kind = type(error).__name__
            more = {"kind": kind, "exit": error.exit_code, "hint": error.hint, **error.more}
            self._document({"error": error.sentence, **more})

    def _document(self, value: object) -> None:
        from commonhold.wire import to_json  # noqa: PLC0415 - late: --help needs no msgspec

        self._answered = True
        try:
            text = to_json(value)
        except UnicodeEncodeError:  # the name of a file here may be no text
            text = to_json(_sayable(value))
        click.echo(text.decode())

    def console(self) -> Console:
        """Standard error as a terminal that draws progress."""
        from rich.console import Console  # noqa: PLC0415 - late: 60 ms, for terminals only

        return Console(stderr=True)

    def _rich_table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.console import Console  # noqa: PLC0415 - late: 60 ms, for terminals only
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))  # Text: names with [brackets] are no markup
        Console().print(table)


def shown(text: str) -> str:
    """`text` with everything replaced that a terminal would obey instead of showing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("�" if unicodedata.category(c) in UNPRINTABLE and c not in "\n\t" else c for c in text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as columns of plain text, two spaces apart, nothing after the last."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = (((cell.ljust(width)) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def local(moment: datetime | None) -> str:
    """A moment as a person here reads it, to the minute; `-` when there is none."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "-"


def size(count: int) -> str:
    """Bytes for people, in powers of 1000 as every file manager shows them now.

    >>> size(999), size(1_500), size(2_000_000)
    ('999 B', '1.5 kB', '2.0 MB')
    """
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} PB"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _sayable(value: object) -> object:
    """The same with a mark in the place of what is no text."""
    import msgspec  # noqa: PLC0415 - late: --help needs none

    def said(each: object) -> object:
        if isinstance(each, str):
            return each.encode(errors="surrogateescape").decode(errors="replace")
        if isinstance(each, dict):
            return {said(key): said(inner) for key, inner in each.items()}
        return [said(inner) for inner in each] if isinstance(each, list) else each

    return said(msgspec.to_builtins(value, enc_hook=str))
