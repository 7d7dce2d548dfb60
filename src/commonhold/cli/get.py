"""`commonhold get`."""

from __future__ import annotations

from typing import Any

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import copy, copying, how
from commonhold.cli.invocation import Invocation


@declare(
    "get",
    "commonhold get tower:photos/cat.jpg",
    "commonhold get 'tower:photos/*.jpg' ~/pictures",
    "commonhold get -r tower:photos/2026 ~/pictures",
    "commonhold get -r --delete --limit 5MB tower:photos/ ~/mirror",
)
@click.argument("words", nargs=-1, required=True, metavar="REMOTE... [LOCAL]")
@copying
def command(invocation: Invocation, /, words: tuple[str, ...], **options: Any) -> None:
    """Each file appears under its name when it is whole and its digest is right. A transfer that broke goes on where it
    stopped when the same command is given again. What is the same already is not copied. A local file that was changed
    since it was last copied is kept beside the new one, and said. Of a folder that ends with a slash, its content goes
    to LOCAL.
    """
    *remote, last = words
    local = "."
    if remote and not is_remote(last):
        local = last
    else:
        remote.append(last)
    with invocation.network() as network:
        copy(
            invocation.out,
            "get",
            lambda progress: network.get(remote, local, progress=progress, **how(options)),
            tried=options["dry_run"],
        )


def is_remote(word: str) -> bool:
    """Whether it names another computer, as scp tells it: a colon before any slash."""
    return ":" in word.partition("/")[0]
