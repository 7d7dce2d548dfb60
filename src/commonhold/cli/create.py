"""`commonhold create`."""

from __future__ import annotations

from dataclasses import asdict

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.node import background


@declare(
    "create",
    "commonhold create home",
    "commonhold create lab --trusting",
    "commonhold create office --shape client-server --computer tower --listen 192.168.1.5:7440",
)
@click.argument("network")
@click.option(
    "--shape",
    type=click.Choice(["peer-to-peer", "client-server"]),
    default="peer-to-peer",
    show_default=True,
    help="Every computer shares and guards its own doors, or this one serves all others.",
)
@click.option("--trusting", is_flag=True, help="Members may read every share and run on idle processors.")
@click.option("--person", metavar="NAME", help="Who you are.  [default: your user name]")
@click.option("--computer", metavar="NAME", help="What this computer is called.  [default: the machine's name]")
@click.option("--listen", multiple=True, metavar="HOST:PORT", help="Where it answers others; may be given again.")
@click.option("--certificate", metavar="FILE", help="A server's: show people's programs this certificate (PEM).")
@click.option("--key", metavar="FILE", help="The certificate's key (PEM, without a passphrase).")
def command(
    invocation: Invocation,
    *,
    network: str,
    shape: str,
    trusting: bool,
    person: str | None,
    computer: str | None,
    listen: tuple[str, ...],
    certificate: str | None,
    key: str | None,
) -> None:
    """Prints the recovery key once, and starts the node in the background."""
    from commonhold.node import founding, renewal  # noqa: PLC0415 - late: --help and wrong usage need no libraries

    renewal.chosen(certificate, key, server=shape == "client-server")
    begun = founding.create(invocation.home, network, shape, trusting, person, computer, listen)
    running = False
    try:
        if certificate:
            renewal.settle(invocation.home, certificate, key)
        background.start(invocation.home)
        running = True
    finally:  # the recovery key exists nowhere else: it is printed whatever became of the node
        invocation.out.answer(
            {**asdict(begun), "running": running},
            f"The network {begun.network} is founded: {begun.shape}, on {begun.computer}, by {begun.person}.",
            "",
            "  Recovery key, shown this once:",
            "",
            f"    {begun.recovery}",
            "",
            "Write it down and keep it away from this computer: with it, commonhold recover puts the network right",
            "when its guard is lost.",
            *(["Next: commonhold invite, then commonhold join on another computer."] if running else []),
        )
