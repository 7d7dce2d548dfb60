"""`commonhold join`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import NotFound, PartlyFailed, WrongUsage
from commonhold.node import background

if TYPE_CHECKING:
    from commonhold.answers import Ruling, Status

LONGEST = 400  # bytes: no code with its address is longer


@declare(
    "join",
    "commonhold join 7-orange-velvet",
    "commonhold join 7-orange-velvet@192.168.1.5:7440 --computer laptop",
    "commonhold join 7-orange-velvet --share ~/photos --lend never",
    "commonhold join --computer laptop",
    "commonhold join --file nas.invitation",
)
@click.argument("code", metavar="[CODE[@HOST:PORT]]", required=False)
@click.option("--person", metavar="NAME", help="Who you are.  [default: as invited, else your user name]")
@click.option("--computer", metavar="NAME", help="What this computer is called.  [default: the machine's name]")
@click.option("--listen", multiple=True, metavar="HOST:PORT", help="Where it answers others; may be given again.")
@click.option("--file", metavar="FILE", help="Join with the file that `commonhold invite --file` wrote.")
@click.option("--share", "folder", metavar="FOLDER", help="Offer this folder at once.")
@click.option("--lend", type=click.Choice(["always", "idle", "never"]), help="When it lends its processors.")
def command(
    invocation: Invocation,
    *,
    code: str | None,
    person: str | None,
    computer: str | None,
    listen: tuple[str, ...],
    file: str | None,
    folder: str | None,
    lend: str | None,
) -> None:
    """Finds the computer that invited by itself on the local network, or at the address given.

    Without CODE it asks for it, or reads it as one line from standard input: other users of this computer can read
    what stands in a command for as long as it runs. Where an earlier try was cut off, `commonhold join` finishes it
    with this computer's key, without a code.
    """
    if file is not None and code is not None:
        raise WrongUsage("A code and a file are two ways in.", "give one of them")
    if folder is not None and not Path(folder).expanduser().is_dir():  # before the code is spent
        raise NotFound(f"There is no folder {folder}.", "name a folder that exists with --share")
    if code is None and file is None and not invocation.home.joining.exists():
        code = asked()
    from commonhold.node import founding  # noqa: PLC0415 - late: --help and wrong usage need no libraries

    begun = founding.join(
        invocation.home,
        code,
        person,
        computer,
        listen,
        lend,
        file=Path(file).expanduser() if file is not None else None,
        say=invocation.out.remark,
    )
    background.start(invocation.home)
    with invocation.network() as network:
        status = network.status()
        if folder is not None:
            if status.role == "client":
                raise PartlyFailed(
                    f"{begun.computer} has joined {begun.network}, but as a client it shares nothing.",
                    f"copy {folder} to the server: commonhold put -r",
                )
            network.share(folder)
            status = network.status()
        runners = [] if status.role == "client" else network.rules("compute")
    invocation.out.answer(
        {**asdict(begun), "shares": status.shares, "lend": status.lend, "compute": runners},
        f"{begun.computer} has joined {begun.network} ({begun.shape}), invited by {begun.inviter}.",
        standing(status, runners),
        *([f"{file} is spent: delete it."] if file is not None else []),
    )


def asked() -> str:
    """The code as a person types it now, or as one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Code", err=True)).strip()
    return sys.stdin.buffer.readline(LONGEST).decode(errors="replace").strip()


def standing(status: Status, runners: list[Ruling]) -> str:
    """What this computer shares and lends now, and how to change it, in one sentence."""
    if status.role == "client":
        return f"{status.computer} is a client: it shares nothing, lends nothing and opens no port."
    names = ", ".join(offer.share for offer in status.shares)
    shares = f"shares {names}" if names else "shares nothing yet (commonhold share FOLDER)"
    people = ", ".join(rule.who for rule in runners if rule.effect == "allow")
    idle = " while nobody uses it" if status.lend.when == "idle" else ""
    if status.lend.when == "never":
        lends = "never lends its processors"
    elif people:
        lends = f"lends its processors to {people}{idle} (commonhold deny WHO run compute)"
    else:
        lends = "lends its processors to nobody (commonhold allow WHO run compute)"
    return f"{status.computer} {shares} and {lends}."
