"""Who decides in a client-server network: the server, for everybody."""

from __future__ import annotations

from msgspec.structs import replace

from commonhold.authority.authority import ROOT, Decision, Door, Subject, Verb
from commonhold.authority.keeper import Keeper
from commonhold.authority.rules import ADMINS
from commonhold.names import SharePath


class ServerKeeper(Keeper):
    """The one computer with doors; its owner and the group `admins` say who may open them, and admit."""

    def decide(self, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Decision:
        decision = super().decide(subject, verb, door, path)
        return _discreet(decision) if subject.guest else decision

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
