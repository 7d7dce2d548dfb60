"""Who decides in a client-server network: the server, for everybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from commonhold.authority.authority import ROOT, Decision, Door, Subject, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.keeper import Keeper
from commonhold.authority.passes import Passes
from commonhold.authority.roster import Roster
from commonhold.authority.rules import ADMINS
from commonhold.names import Fingerprint, PersonId, SharePath


class ServerKeeper(Keeper):
    """The one computer with doors; its owner and the group `admins` say who may open them, and admit.

    People may come with a password instead of a computer; `holds` says whether what let them in still would.
    """

    def __init__(
        self,
        roster: Callable[[], Roster],
        book: RuleBook,
        passes: Passes,
        owner: PersonId,
        computer: Fingerprint,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        holds: Callable[[Subject], bool] = lambda subject: False,
    ) -> None:
        super().__init__(roster, book, passes, owner, computer, now=now)
        self._holds = holds

    def decide(self, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Decision:
        decision = super().decide(subject, verb, door, path)
        return _discreet(decision) if subject.guest else decision

    def login_holds(self, subject: Subject) -> bool:
        return self._holds(subject)

    def capacity(self, subject: Subject) -> str:
        if subject.person == self.owner:
            return f"the owner of {self.name()}"
        admin = subject.person in self.book.groups().get(ADMINS, frozenset()) and not subject.guest
        return f"one of the admins of {self.name()}" if admin else ""

    def keeper(self) -> str:
        return f"{super().keeper()} or one of the admins"


def _discreet(decision: Decision) -> Decision:
    """What a guest hears: guests see nobody else, so that no hint names whom to ask."""
    hint = "ask whoever invited you" if decision.hint and not decision.allowed else ""
    return replace(decision, hint=hint, told=_discreet(decision.told) if decision.told else None)
