"""`commonhold ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import is_glob
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local, size
from commonhold.cli.severally import severally
from commonhold.errors import CommonholdError

if TYPE_CHECKING:
    from commonhold.files.entry import Entry

WIDEST, MINUTE = len("999.9 MB"), len("2026-11-24 19:30")
ENDING = {"computer": "", "share": "/", "folder": "/"}  # computers come with their colon


@declare(
    "ls",
    "commonhold ls",
    "commonhold ls tower:",
    "commonhold ls -l tower:photos/2026",
    "commonhold ls -r tower:photos",
    "commonhold ls 'tower:photos/**/*.jpg'",
)
@click.argument("remote", nargs=-1, metavar="[REMOTE]...")
@click.option("-r", "--recursive", is_flag=True, help="With everything in the folders, too.")
@click.option("-l", "--long", is_flag=True, help="With size and time of change.")
def command(invocation: Invocation, remote: tuple[str, ...], recursive: bool, long: bool) -> None:
    """Without REMOTE it lists the computers; `COMPUTER:` lists that computer's shares."""
    whole = recursive or len(remote) > 1 or any(map(is_glob, remote))
    line = _document if invocation.out.json else _long if long else _short
    tops = {each: each.partition("/")[0] for each in remote if ":" in each}
    several = len(set(tops.values())) > 1
    found: list[tuple[str, str]] = []

    def look(each: str) -> None:
        top = f"{tops[each]}{'' if tops[each].endswith(':') else '/'}" if several else ""
        for entry in network.entries(each, recursive=recursive):
            # Of each only its line is kept, which is a fifth of it: a folder may have hundreds of thousands.
            found.append((f"{top}{entry.path}", line(entry, f"{top}{entry.path if whole else entry.name}")))

    with invocation.network() as network:
        try:
            severally(remote or [""], look)
        except CommonholdError:
            if not invocation.out.json:
                _print(invocation, found)
            raise
    _print(invocation, found)


def _print(invocation: Invocation, found: list[tuple[str, str]]) -> None:
    found.sort()
    invocation.out.lines(text for _, text in found)


def _short(entry: Entry, name: str) -> str:
    return name + ENDING.get(entry.kind, "")


def _long(entry: Entry, name: str) -> str:
    """Sizes to the right, so that their digits stand below one another."""
    amount = size(entry.size) if entry.kind == "file" else "-"
    return f"{amount.rjust(WIDEST)}  {local(entry.modified).ljust(MINUTE)}  {_short(entry, name)}"


def _document(entry: Entry, _name: str) -> str:
    from commonhold.wire import to_json  # noqa: PLC0415 - late: --help needs no msgspec

    return to_json(entry).decode()
