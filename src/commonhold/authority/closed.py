"""Who decides where nothing is open: a computer that belongs to no network, and every client of a server."""

from __future__ import annotations

from collections.abc import Callable

from commonhold.authority.authority import ROOT, Decision, Door, Note, Standing, Subject, Verb, unnoted
from commonhold.authority.keeper import knocking
from commonhold.authority.roster import Roster
from commonhold.authority.rules import outsider
from commonhold.names import Fingerprint, SharePath


class Closed:
    """Refuses everything with one reason; with a roster it still knows who knocks."""

    def __init__(self, reason: str, hint: str = "", roster: Callable[[], Roster] | None = None) -> None:
        self.reason = reason
        self.hint = hint
        self.roster = roster
        self.note: Note = unnoted

    @classmethod
    def client(cls, roster: Callable[[], Roster], server: str) -> Closed:
        """A client of the server of that name."""
        return cls("this computer is a client and shares nothing", f"ask the server {server}", roster)

    @classmethod
    def not_joined(cls) -> Closed:
        return cls("this computer belongs to no network yet", "commonhold create NETWORK, or commonhold join CODE")

    def who(self, fingerprint: Fingerprint | None, pass_id: str | None = None) -> Subject:
        if self.roster is None:
            return Subject(standing=Standing.STRANGER)
        return knocking(self.roster(), fingerprint, pass_id)

    def decide(self, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Decision:
        outside = outsider(subject, self.roster().network) if self.roster else None
        return outside or Decision(allowed=False, reason=self.reason, hint=self.hint)

    def keeper(self) -> str:
        return "nobody here"
