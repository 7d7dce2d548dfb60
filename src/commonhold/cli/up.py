"""`commonhold up`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import WrongUsage
from commonhold.node import background


@declare(
    "up",
    "commonhold up",
    "commonhold up --foreground",
    "commonhold up --certificate fullchain.pem --key privkey.pem",
)
@click.option("--foreground", is_flag=True, help="Stay in this terminal until Ctrl-C; for service managers too.")
@click.option("--certificate", metavar="FILE", help="A server's: show people's programs this certificate (PEM).")
@click.option("--key", metavar="FILE", help="The certificate's key (PEM, without a passphrase).")
@click.option("--no-certificate", is_flag=True, help="Show none any more.")
@click.option("--ready-fd", type=int, hidden=True, help="The pipe on which to say that the node serves.")
def command(
    invocation: Invocation,
    *,
    foreground: bool,
    certificate: str | None,
    key: str | None,
    no_certificate: bool,
    ready_fd: int | None,
) -> None:
    """In the background, unless told otherwise. A node that runs already is left alone.

    A server with a name in the world may have a certificate for it from an authority that browsers and file managers
    know: named once, it is shown from then on, and read again when it was renewed. Computers of the network go
    on with their own keys.
    """
    names: tuple[str, ...] = ()
    if certificate or key or no_certificate:
        from commonhold.node import renewal  # noqa: PLC0415 - late: most starts need no libraries

        if no_certificate and (certificate or key):
            raise WrongUsage("--no-certificate shows none, and --certificate names one.", "give one of the two")
        names = renewal.settle(invocation.home, certificate, key)
    if foreground:
        from commonhold.node import process  # noqa: PLC0415 - late: the node loads every library there is

        process.run(invocation.home, ready_fd)
        return
    already = background.running(invocation.home)
    if not already:
        background.start(invocation.home)
    computer = invocation.home.computer()
    invocation.out.answer(
        {"computer": computer, "running": True, "already": already, "certificate": names},
        f"The node of {computer} {'already runs' if already else 'runs'}.",
        *(["No certificate for people's programs is shown any more."] if no_certificate else []),
        *([f"People's programs that ask for {', '.join(names)} are shown the certificate."] if names else []),
    )
