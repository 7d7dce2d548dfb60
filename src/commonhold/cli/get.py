"""`commonhold get`."""

from __future__ import annotations

from typing import Any

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import copy, copying, how, is_remote
from commonhold.cli.invocation import Invocation
from commonhold.errors import WrongUsage


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
    local = ""
    if remote and not is_remote(last):
        local = last
    else:
        remote.append(last)
    for word in remote:
        if not is_remote(word):
            raise WrongUsage(
                f"“{word}” names no other computer.", "get fetches COMPUTER:SHARE/PATH; from here to there it is put"
            )
    if options["delete"] and not local and remote[0].endswith("/"):
        raise WrongUsage(
            "All in this folder that is not at the other end would go.",
            "name the folder that is to be the mirror; this one is .",
        )
    with invocation.network() as network:
        copy(
            invocation.out,
            "get",
            lambda progress: network.get(remote, local or ".", progress=progress, **how(options)),
            tried=options["dry_run"],
        )
