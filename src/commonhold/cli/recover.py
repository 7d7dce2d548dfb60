"""`commonhold recover`."""

from __future__ import annotations

import shlex
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.words import Past
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.node import background

if TYPE_CHECKING:
    from commonhold.answers import Recovered, RecoveryDraft

EMPTY_SERVER = "It begins with no shares, rules and accounts: those of the server before lie on that computer."
LONGEST = 400  # bytes: twelve words have fewer
PATIENCE = 20.0  # seconds for the node to begin anew


@declare(
    "recover",
    "commonhold recover",
    "commonhold recover --remove tower",
    "commonhold recover --remove tower --since 2h",
    "commonhold recover --new-key",
)
@click.option("--remove", "removed", multiple=True, metavar="COMPUTER", help="Take this lost or stolen computer out.")
@click.option("--since", type=Past(), metavar="TIME", help="Undo what they have said of others since: 2h, or a time.")
@click.option("--new-key", is_flag=True, help="Make a new recovery key and print its words; the old one is void.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    invocation: Invocation, *, removed: tuple[str, ...], since: datetime | None, new_key: bool, yes: bool
) -> None:
    """Typed on any computer of the network when its guards are lost, stolen or at odds. It asks for the twelve words
    of the recovery key, or reads them as one line from standard input; they stay in this command, and only sign.

    This computer becomes a guard, beside those that are not taken out; in client-server it becomes the server, in
    the place of the one before, whose shares, rules and accounts were its own: what people may is said anew. Of two
    charters of one number, the one made so counts.
    """
    invocation.home.settings()
    words = _asked()
    if not background.running(invocation.home):
        background.start(invocation.home)

    def agreed(draft: RecoveryDraft) -> None:
        if yes or not (sys.stdin.isatty() or draft.restarts):
            return
        for line in _told(draft):
            click.echo(line, err=True)
        if not sys.stdin.isatty() or invocation.out.json:
            raise WrongUsage("This asks first, and nobody is here to answer.", _again(removed, since, new_key))
        if not click.confirm("Go on?", err=True):
            raise CommonholdError("Nothing was changed.")

    with invocation.network() as network:
        done = network.recover(words, removed, since, new_key=new_key, agreed=agreed)
    if done.restarts:
        _wait(invocation)
    invocation.out.answer(done, *_lines(done))


def _again(removed: tuple[str, ...], since: datetime | None, new_key: bool) -> str:
    """The same command with its question answered: whoever types the hint must not leave a stolen computer in."""
    words = [word for name in removed for word in ("--remove", name)]
    words += ["--since", since.strftime("%Y-%m-%dT%H:%M:%SZ")] if since else []
    return shlex.join(["commonhold", "recover", *words, *(["--new-key"] if new_key else []), "--yes"])


def _asked() -> str:
    """The words as a person types them now, unseen, or as one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Recovery key (twelve words, not shown)", err=True, hide_input=True))
    return sys.stdin.buffer.readline(LONGEST).decode(errors="replace")


def _told(draft: RecoveryDraft) -> list[str]:
    lines = [f"{draft.computer} becomes the server of {draft.network}.", EMPTY_SERVER] if draft.server else []
    lines += [] if draft.server else [f"{draft.network} is guarded by {', '.join(draft.guards)}."]
    lines += [f"Removed for ever: {', '.join(draft.removed)}."] if draft.removed else []
    lines += [f"Members again: {', '.join(draft.back)}."] if draft.back else []
    return [*lines, *([f"Members no more: {', '.join(draft.out)}."] if draft.out else [])]


def _lines(done: Recovered) -> list[str]:
    lines = [
        f"{done.server} is the server now." if done.server else f"The network is guarded by {', '.join(done.guards)}."
    ]
    lines += [EMPTY_SERVER] if done.server else []
    lines += [f"Removed for ever: {', '.join(done.removed)}."] if done.removed else []
    lines += [f"Members again: {', '.join(done.back)}."] if done.back else []
    lines += [f"Members no more: {', '.join(done.out)}."] if done.out else []
    lines += [f"Told: {', '.join(done.told)}."] if done.told else []
    if done.not_reached:
        lines.append(f"Not reached, and told as soon as they answer: {', '.join(done.not_reached)}.")
    if done.recovery:
        lines += ["", "  New recovery key, shown this once; the old one is void:", "", f"    {done.recovery}"]
    return lines


def _wait(invocation: Invocation) -> None:
    """Until the node serves as what it is now."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with invocation.network() as network:
                if network.status().role != "client":
                    return
        except CommonholdError:
            pass
        time.sleep(0.1)
