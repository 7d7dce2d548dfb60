"""`commonhold share`."""

from __future__ import annotations

import shlex

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.rulings import SHARE_VERBS
from commonhold.errors import WrongUsage


@declare(
    "share",
    "commonhold share ~/photos",
    "commonhold share ~/photos --name pictures --to members --verb read",
    "commonhold share ~/inbox --to ann --verb add",
)
@click.argument("folder")
@click.option("--name", help="What others call it.  [default: the folder's own name]")
@click.option("--to", metavar="WHO", help="Who may use it from now on: a person, or members (everybody).")
@click.option("--verb", type=click.Choice(SHARE_VERBS), help="What they may do.  [default: read]")
def command(invocation: Invocation, folder: str, name: str | None, to: str | None, verb: str | None) -> None:
    """The folder stays what it is; nothing is copied or imported. Without --to nobody else may open it yet."""
    if verb and not to:
        raise WrongUsage(f"--verb {verb} says nothing without somebody who may.", "give both: --to WHO --verb VERB")
    with invocation.network() as network:
        offer = network.share(folder, name=name, to=to, verb=(verb or "read") if to else None)
    closed = f"Nobody else may open it yet: commonhold allow WHO read {shlex.quote(offer.share)}"
    invocation.out.answer(offer, f"{offer.folder} is offered as {offer.share}.", *(offer.rules or (closed,)))
