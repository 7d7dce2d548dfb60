"""`commonhold ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned, local, size

if TYPE_CHECKING:
    from commonhold.files.entry import Entry

WILD = frozenset("*?[")
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
    with invocation.network() as network:
        entries = [entry for each in remote or [""] for entry in network.ls(each, recursive=recursive)]
    whole = recursive or len(remote) > 1 or any(WILD & set(each) for each in remote)
    names = [(entry.path if whole else entry.name) + ENDING.get(entry.kind, "") for entry in entries]
    lines = [_long(entry, name) for entry, name in zip(entries, names, strict=True)]
    invocation.out.answer(entries, *(_columns(lines) if long else names))


def _long(entry: Entry, name: str) -> tuple[str, str, str]:
    return (size(entry.size) if entry.kind == "file" else "-", local(entry.modified), name)


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    """Sizes to the right, so that their digits stand below one another."""
    width = max((len(row[0]) for row in rows), default=0)
    return aligned([(row[0].rjust(width), *row[1:]) for row in rows]) if rows else []
