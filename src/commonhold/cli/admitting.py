"""The inviter at its terminal: who asks to be let in, and what is answered."""

from __future__ import annotations

import contextlib
import select
import sys
from collections import deque
from typing import TYPE_CHECKING

import click

from commonhold.cli.output import Output, counted
from commonhold.errors import CommonholdError, Conflict, NotFound, Refused

if TYPE_CHECKING:
    from commonhold.answers import JoiningCode
    from commonhold.api import Network
    from commonhold.authority.waiting import InvitationNews

PAUSE = 0.2  # seconds between two looks at the keyboard
YES, NO = {"y", "yes"}, {"n", "no"}


def admit_by_asking(network: Network, out: Output, invitation: JoiningCode) -> None:
    """Ask about each newcomer, until the invitation is over. Ctrl-C and the end of input withdraw it.

    Raises CommonholdError when nobody was admitted in time, Refused after a no or wrong guesses.
    """
    out.remark("Waiting for the other computer. Ctrl-C withdraws the code.")
    session = _Session(network, out, invitation)
    try:
        for news in network.newcomers(invitation.number, PAUSE):
            if session.heard(news):
                return
    except BaseException:  # the node would notice, a moment later
        with contextlib.suppress(CommonholdError):
            network.withdraw(invitation.number)
        raise


class _Session:
    """What was heard so far, and whom the person is being asked about."""

    def __init__(self, network: Network, out: Output, invitation: JoiningCode) -> None:
        self._network, self._out, self._invitation = network, out, invitation
        self._waiting: deque[InvitationNews] = deque()
        self._asking = False
        self._admitted = 0

    def heard(self, news: InvitationNews | None) -> bool:
        """Take in what happened, or look at the keyboard; whether all is done."""
        if news is None:
            self._look()
            return False
        match news.event:
            case "asks":
                self._waiting.append(news)
            case "wrong code":
                self._say(f"{counted(news.count, 'wrong code')} came from {news.address}; {_tries(news.tries)}.")
            case "joined":
                self._admitted += 1
                uses = f" The code is for {counted(news.uses, 'more computer')}." if news.uses else ""
                self._say(f"{news.computer} of {news.person} is admitted.{uses}")
            case "refused":
                raise Refused(f"{news.computer} was not admitted, and the code is withdrawn.", "commonhold invite")
            case "over":
                return self._over(news.reason)
        self._ask_next()
        return False

    def _over(self, reason: str) -> bool:
        if self._asking:
            self._out.remark("")
        if reason == "guessed":
            raise Refused(
                "The code is burnt: its tries were used up.", "commonhold invite draws a new one, of three words"
            )
        if not self._admitted:
            raise CommonholdError("The code is over: nobody was admitted.", "commonhold invite")
        return True

    def _ask_next(self) -> None:
        if self._waiting and not self._asking:
            while _typed_already():  # nobody answers a question that was not asked yet
                sys.stdin.readline()
            self._asking = True
            self._ask()

    def _ask(self) -> None:
        who = self._waiting[0]
        whose = f"a further computer of {who.person}" if who.known else f"of {who.person}, who is new here"
        self._out.remark(f"{who.computer}, {whose}, asks to join from {who.address}. Its key: {who.words}")
        click.echo(f"Admit {who.computer}? A no ends the code. [y/n] ", nl=False, err=True)

    def _say(self, sentence: str) -> None:
        """Beside an open question, which is put again."""
        self._out.remark(f"\n{sentence}" if self._asking else sentence)
        if self._asking:
            self._ask()

    def _look(self) -> None:
        """Take an answer, if one was typed by now."""
        if not self._asking or not _typed_already():
            return
        line = sys.stdin.readline()
        if not line:
            raise click.Abort
        answer = line.strip().casefold()
        if answer not in YES | NO:
            click.echo("Please type y or n: ", nl=False, err=True)
            return
        self._asking = False
        who = self._waiting.popleft()
        try:
            self._network.decide(self._invitation.number, who.newcomer, answer in YES)
        except (Conflict, NotFound) as error:  # its name was taken meanwhile, or it has gone
            self._out.remark(f"{who.computer} is not admitted: {error.sentence}")
        self._ask_next()


def _tries(left: int) -> str:
    return f"{counted(left, 'try is', 'tries are')} left" if left else "no try is left"


def _typed_already() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])
