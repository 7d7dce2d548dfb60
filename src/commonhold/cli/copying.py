"""What `get`, `put`, `cp` and `mv` have in common: options, the bar, and what is said at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from commonhold.cli.output import Output, counted, size
from commonhold.cli.progress import files_progress
from commonhold.cli.words import Size
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.thrift import hold_little

if TYPE_CHECKING:
    from commonhold.files.used.tally import Report

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option("-r", "--recursive", is_flag=True, help="Folders with everything in them."),
    click.option("--checksum", is_flag=True, help="Compare by digest what has the same size; slower than by time."),
    click.option("--delete", is_flag=True, help="Delete at the target what the source folder has not."),
    click.option("--dry-run", is_flag=True, help="Only say what would be copied and deleted."),
    click.option("--ignore", multiple=True, metavar="PATTERN", help="Leave out what fits; may be given again."),
    click.option("--no-ignore", is_flag=True, help="Leave nothing out, not even what systems strew into folders."),
    click.option("--limit", type=Size(), metavar="SIZE", help="At most so many bytes a second, e.g. 5MB."),
)


def copying(function: F) -> F:
    """Add the options of a copy; `how` makes arguments of the API of them."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def how(options: dict[str, Any]) -> dict[str, Any]:
    """What was typed, as the API takes it."""
    typed = dict(options)
    ignore = typed.pop("ignore")
    typed["ignore"] = None if typed.pop("no_ignore") else ignore
    return typed


def copy(out: Output, verb: str, work: Callable[[Any], Report], done: str = "copied", tried: bool = False) -> None:
    """Do it with one bar for all, and say what was done; or what would be, if it was only `tried`."""
    hold_little()
    try:
        with files_progress(out, verb) as progress:
            report = work(progress)
    except CommonholdError as error:
        if tried and not out.json:
            out.lines(_planned(error.more.get("to_copy", ()), error.more.get("to_delete", ())))
        raise
    if tried:
        out.answer(report)
        if not out.json:
            out.lines(_planned(report.to_copy, report.to_delete))
            doing = f"{len(report.to_copy)} would be copied, {len(report.to_delete)} deleted"
            out.lines([f"Nothing was done; {'; '.join([doing, *_left_out(report)])}."])
        return
    what = [counted(report.files, "file")] if report.files or not report.folders else []
    what += [counted(report.folders, "whole folder")] if report.folders else []
    amount = f", {size(report.bytes)}" if report.bytes or done == "copied" else ""
    more = [f"{report.same} the same already"] if report.same else []
    more += [f"{report.removed} deleted"] if report.removed else []
    more += _left_out(report)
    out.answer(report, f"{' and '.join(what)} {done}{amount}{''.join(f'; {each}' for each in more)}.")


def _planned(to_copy: Iterable[str], to_delete: Iterable[str]) -> Iterator[str]:
    return itertools.chain((f"copy  {path}" for path in to_copy), (f"delete  {path}" for path in to_delete))


def _left_out(report: Report) -> list[str]:
    kinds = (("link", "links", report.links), ("pipe or device", "pipes or devices", report.devices))
    return [f"{counted(len(paths), one, many)} left out" for one, many, paths in kinds if paths]


def is_glob(word: str) -> bool:
    """Whether a remote path may stand for several."""
    return any(character in word for character in "*?[")


def is_remote(word: str) -> bool:
    """Whether it names another computer, as scp tells it: a colon before any slash."""
    return ":" in word.partition("/")[0]


def require_remote(words: Iterable[str]) -> None:
    """Raise WrongUsage for a word that names nothing at another computer."""
    for word in words:
        if not is_remote(word):
            raise WrongUsage(
                f"“{word}” names no other computer.",
                "between others it is COMPUTER:SHARE/PATH; from here to there put, from there to here get",
            )
